"""What the data chunk of a WAV claims, and how much there is."""

from __future__ import annotations

import struct

from adapters.audio.pieces import Buffer, Mended, Piece, understated

_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write to a pipe cannot know the size; they leave 0, or one from here on (sox, ffmpeg)."""

_SEARCHED = 1 << 20


def mended(data: Buffer) -> Mended:
    """Return a WAV whose size is that of the sound, when its header has it shorter than it is.

    Too short is a size that ends where neither the file nor another chunk does.
    """
    order = "<" if data[:4] == b"RIFF" else ">"
    found = _data_chunk(data, order) if data[:4] != b"RF64" else None
    if found is None:
        return Mended()
    at, length = found
    there = len(data) - at - 8
    if length >= _UNKNOWN_SIZE:
        return Mended()
    if length and (there <= length + 8 or _is_chunk(data, at + 8 + length + length % 2, order)):
        return Mended(missing=max(0.0, 1 - there / length))
    piece = Piece(((0, at + 4), struct.pack(order + "I", there), (at + 8, len(data))))
    bytes_a_second = _number(data, 28, order)
    if not length or not bytes_a_second:
        return Mended((piece,))
    return Mended((piece,), 0.0, understated(length / bytes_a_second, there / bytes_a_second))


def _data_chunk(data: Buffer, order: str) -> tuple[int, int] | None:
    """Return where the data chunk stands, and the length of its content as its header has it."""
    at = 12
    while at + 8 <= min(len(data), _SEARCHED):
        length = _number(data, at + 4, order)
        if data[at : at + 4] == b"data":
            return at, length
        at += 8 + length + length % 2
    return None


def _is_chunk(data: Buffer, at: int, order: str) -> bool:
    """Say whether a chunk with a name stands here; without its padding byte it stands one earlier."""
    return any(
        data[start : start + 4].isalnum() and start + 8 + _number(data, start + 4, order) <= len(data) + 1
        for start in (at - 1, at)
        if start + 8 <= len(data)
    )


def _number(data: Buffer, at: int, order: str) -> int:
    return int.from_bytes(data[at : at + 4], "little" if order == "<" else "big")
