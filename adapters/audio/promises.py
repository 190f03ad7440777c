"""What a file's header says it ought to hold: libsndfile takes what is there and says nothing.

An upload that was cut off is found by this before it is accepted.
"""

from __future__ import annotations

from pathlib import Path

_UNKNOWN_SIZE = 0x7FFF_0000
"""Programs that write to a pipe cannot know the size; they leave 0, or one from here on (sox, ffmpeg)."""

_XING_HAS_FRAMES = 1
_XING_HAS_BYTES = 2


def missing_share(path: Path) -> float | None:
    """Return the share (0..1) of the sound its header promises that a WAV or MP3 file lacks.

    None when the header makes no promise: other formats, sizes left open, MP3 without a Xing or Info frame.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(65_536)
        if head[:4] in (b"RIFF", b"RIFX"):
            promised = _riff_data(head)
        else:
            skip = _id3_length(head)
            file.seek(skip)
            promised = _xing(file.read(4096), skip)
    if promised is None:
        return None
    start, length = promised
    return max(0.0, 1 - (size - start) / length)


def _riff_data(head: bytes) -> tuple[int, int] | None:
    """Return (start, length) in bytes of a WAV's data chunk as its header has it."""
    order = "little" if head[:4] == b"RIFF" else "big"
    at = 12
    while at + 8 <= len(head):
        length = int.from_bytes(head[at + 4 : at + 8], order)
        if head[at : at + 4] == b"data":
            return (at + 8, length) if 0 < length < _UNKNOWN_SIZE else None
        at += 8 + length + length % 2
    return None


def _id3_length(head: bytes) -> int:
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _xing(frame: bytes, offset: int) -> tuple[int, int] | None:
    """Return (start, length) in bytes of the MPEG frames, if a Xing or Info frame says so."""
    at = max(frame[:256].find(b"Xing"), frame[:256].find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    field = at + 8 + (4 if flags & _XING_HAS_FRAMES else 0)
    length = int.from_bytes(frame[field : field + 4], "big")
    return (offset, length) if flags & _XING_HAS_BYTES and length else None
