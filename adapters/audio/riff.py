"""What the data chunk of a WAV claims, and how much there is."""

from __future__ import annotations

import re
import struct

from adapters.audio.pieces import Buffer, Mended, Piece, understated

_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write to a pipe cannot know the size; they leave 0, or one from here on (sox, ffmpeg)."""

_SEARCHED = 1 << 20

_NAME = re.compile(rb"[ -~]{4}")
"""Printable, not only letters: `cue ` and `id3 ` often follow the sound."""


def mended(data: Buffer) -> Mended:
    """Return a WAV whose size is that of the sound, when its header has it shorter than it is.

    Too short is a size that ends where neither the file nor another chunk does.
    """
    order = "<" if data[:4] == b"RIFF" else ">"
    at = _chunk(data, b"data", order) if data[:4] != b"RF64" else None
    if at is None:
        return Mended()
    length, there = _number(data, at + 4, order), len(data) - at - 8
    if length >= _UNKNOWN_SIZE:
        return Mended()
    if _is_chunk(data, at + 8 + length + length % 2, order) or (length and there <= length + 8):
        return Mended(missing=max(0.0, 1 - there / length) if length else None)
    piece = Piece(((0, at + 4), struct.pack(order + "I", there), (at + 8, len(data))))
    bytes_a_second = _bytes_a_second(data, order)
    if not length or not bytes_a_second:
        return Mended((piece,))
    return Mended((piece,), 0.0, understated(length / bytes_a_second, there / bytes_a_second))


def _chunk(data: Buffer, name: bytes, order: str) -> int | None:
    """Return where the first chunk of this name stands."""
    at = 12
    while at + 8 <= min(len(data), _SEARCHED):
        if data[at : at + 4] == name:
            return at
        length = _number(data, at + 4, order)
        at += 8 + length + length % 2
    return None


def _bytes_a_second(data: Buffer, order: str) -> int:
    """Return what the format chunk says; programs put others before it (JUNK, bext)."""
    at = _chunk(data, b"fmt ", order)
    return 0 if at is None else _number(data, at + 16, order)


def _is_chunk(data: Buffer, at: int, order: str) -> bool:
    """Say whether a chunk with a name stands here; without its padding byte it stands one earlier."""
    return any(
        _NAME.match(data, start) and start + 8 + _number(data, start + 4, order) <= len(data) + 1
        for start in (at - 1, at)
        if start + 8 <= len(data)
    )


def _number(data: Buffer, at: int, order: str) -> int:
    return int.from_bytes(data[at : at + 4], "little" if order == "<" else "big")
