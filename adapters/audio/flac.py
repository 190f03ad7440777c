"""How long a FLAC truly is, by its last frame's header (RFC 9639, 9.1), whatever STREAMINFO states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.audio.pieces import Buffer, Mended, Piece, Run, understated

_TAIL = 1 << 18
"""So far from the end the last frames are looked for; they rarely take 20 kB."""

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_TOTAL_AT = 21
_SHORTEST_BLOCK = 16
"""Samples (RFC 9639, 8.2): a file that states less gives no number to count frames by."""


@dataclass(frozen=True, slots=True)
class _Frame:
    start: int
    samples: int


def mended(data: Buffer, sound: Run) -> Mended:
    """Return a FLAC that states its true length and ends near its last frame.

    A reader that stops at that length never meets what stands behind it, which would cost it a block.
    """
    at, end = sound
    info = data[at : at + 42]
    if len(info) < 42 or info[:4] != b"fLaC":
        return Mended()
    rate = int.from_bytes(info[18:21], "big") >> 4
    stated = int.from_bytes(info[_TOTAL_AT : _TOTAL_AT + 5], "big") & (1 << 36) - 1
    block = int.from_bytes(info[8:10], "big")
    last = _last_frame(data, at + 42, end, block) if block >= _SHORTEST_BLOCK else None
    if last is None or not rate:
        return Mended()
    start, frame = last
    true = frame.start + frame.samples
    end = min(end, start + _longest(frame, info))
    cut, total = at + _TOTAL_AT, max(stated, true)
    field = int.from_bytes(info[_TOTAL_AT : _TOTAL_AT + 5], "big") - stated + total
    return Mended(
        (Piece(((at, cut), field.to_bytes(5, "big"), (cut + 5, end))),),
        warnings=understated(stated / rate, true / rate) if stated else (),
    )


def _longest(frame: _Frame, info: bytes) -> int:
    """Return the length in bytes of this frame without compression: it is no longer."""
    channels, bits = (info[20] >> 1 & 7) + 1, ((info[20] & 1) << 4 | info[21] >> 4) + 1
    return 64 + frame.samples * channels * (bits + 1) // 8


def _last_frame(data: Buffer, start: int, end: int, block: int) -> tuple[int, _Frame] | None:
    """Return the last frame and at which byte it starts, wherever in the file it stands."""
    for window in (_TAIL, 1 << 21, 1 << 24, end - start):
        begin = max(start, end - window)
        found = _last_in(data[begin:end], block)
        if found is not None:
            return begin + found[0], found[1]
        if begin == start:
            return None
    return None


def _last_in(tail: bytes, block: int) -> tuple[int, _Frame] | None:
    """Return the last frame and at which byte it starts, if it follows on another.

    Two in a row: a single header is found in noise once in some dozen files.
    """
    ends: set[int] = {0}
    last = None
    for found in _SYNC.finditer(tail):
        frame = _frame(tail[found.start() : found.start() + 16].ljust(16, b"\0"), block)
        if frame is None:
            continue
        ends.add(frame.start + frame.samples)
        if frame.start in ends:
            last = found.start(), frame
    return last


def _frame(header: bytes, block: int) -> _Frame | None:
    """Read a frame's header; None where its checksum says that it is none."""
    if header[3] & 1:
        return None
    number, at = _coded(header, 4)
    if number is None:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    extra = {6: 1, 7: 2}.get(size_code, 0)
    samples = 1 + int.from_bytes(header[at : at + extra], "big") if extra else _block_size(size_code)
    at += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if samples is None or _crc8(header[:at]) != header[at]:
        return None
    return _Frame(number if header[1] & 1 else number * block, samples)


def _block_size(code: int) -> int | None:
    if code == 1:
        return 192
    if 2 <= code <= 5:
        return 576 << (code - 2)
    return 256 << (code - 8) if code >= 8 else None


def _coded(header: bytes, at: int) -> tuple[int | None, int]:
    """Return a number coded like UTF-8, up to 36 bits, and where it ends."""
    first = header[at]
    if first < 0x80:
        return first, at + 1
    more = 8 - (first ^ 0xFF).bit_length() - 1
    following = header[at + 1 : at + 1 + more]
    if not 1 <= more <= 6 or any(byte & 0xC0 != 0x80 for byte in following):
        return None, at
    number = first & (0x3F >> more)
    for byte in following:
        number = number << 6 | byte & 0x3F
    return number, at + 1 + more


def _crc8(header: bytes) -> int:
    crc = 0
    for byte in header:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc
