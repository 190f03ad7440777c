"""What the data chunk of a WAV claims, and how much there is."""

from __future__ import annotations

import re
import struct

from adapters.audio.pieces import TOLERATED_LOSS, Buffer, Mended, Piece, Run, understated
from adapters.audio.tags import STARTS

_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write to a pipe cannot know the size; they leave 0, or one from here on (sox, ffmpeg)."""

_SEARCHED = 1 << 20

_NAME = re.compile(rb"[ -~]{4}")
"""Printable, not only letters: `cue ` and `id3 ` often follow the sound."""


def mended(data: Buffer, sound: Run) -> Mended:
    """Return a WAV whose size is that of the sound, when its header has it shorter than it is.

    Too short is a size that ends where neither the file nor another chunk does.
    """
    start, end = sound
    order = "<" if data[start : start + 4] == b"RIFF" else ">"
    at = _chunk(data, b"data", order, sound) if data[start : start + 4] != b"RF64" else None
    if at is None:
        return Mended()
    length, there = _number(data, at + 4, order), end - at - 8
    if length >= _UNKNOWN_SIZE:
        return Mended()
    behind = at + 8 + length + length % 2
    if (
        _is_tag(data, at + 8 + length)
        or _is_tag(data, behind)
        or _is_foreign(data, start, behind, end, order)
    ):
        return Mended((Piece(((start, at + 8 + length),)),), 0.0)
    if _is_chunk(data, behind, end, order) or (length and there <= length + 8):
        return Mended(missing=max(0.0, 1 - there / length) if length else None)
    piece = Piece(((start, at + 4), struct.pack(order + "I", there), (at + 8, end)))
    bytes_a_second = _bytes_a_second(data, order, sound)
    if not length or not bytes_a_second:
        return Mended((piece,))
    return Mended((piece,), 0.0, understated(length / bytes_a_second, there / bytes_a_second))


def _chunk(data: Buffer, name: bytes, order: str, sound: Run) -> int | None:
    """Return where the first chunk of this name stands."""
    at = sound[0] + 12
    while at + 8 <= min(sound[1], sound[0] + _SEARCHED):
        if data[at : at + 4] == name:
            return at
        length = _number(data, at + 4, order)
        at += 8 + length + length % 2
    return None


def _bytes_a_second(data: Buffer, order: str, sound: Run) -> int:
    """Return what the format chunk says; programs put others before it (JUNK, bext)."""
    at = _chunk(data, b"fmt ", order, sound)
    return 0 if at is None else _number(data, at + 16, order)


def _is_tag(data: Buffer, at: int) -> bool:
    """Say whether a tag starts here whose end no footer marks."""
    return data[at : at + 11].startswith(STARTS)


def _is_foreign(data: Buffer, start: int, behind: int, end: int, order: str) -> bool:
    """Say whether a little that the RIFF's own size leaves out stands behind the last chunk.

    More than a hundredth of the file is rather sound that the writer did not count.
    """
    stated = start + 8 + _number(data, start + 4, order)
    return stated in (behind, behind - 1) and 0 < end - behind <= TOLERATED_LOSS * (end - start)


def _is_chunk(data: Buffer, at: int, end: int, order: str) -> bool:
    """Say whether a chunk with a name stands here; without its padding byte it stands one earlier."""
    return any(
        _NAME.match(data, start) and start + 8 + _number(data, start + 4, order) <= end + 1
        for start in (at - 1, at)
        if start + 8 <= end
    )


def _number(data: Buffer, at: int, order: str) -> int:
    return int.from_bytes(data[at : at + 4], "little" if order == "<" else "big")
