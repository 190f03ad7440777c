"""The frame at the head of an MP3 that states its length (Xing, Info or VBRI), read and written anew.

LAME's revision of it: http://gabriel.mp3-tech.org/mp3infotag.html; VBRI is Fraunhofer's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HAS_FRAMES, _HAS_BYTES, _HAS_TOC, _HAS_QUALITY = 1, 2, 4, 8
_FIELD_BYTES = ((_HAS_FRAMES, 4), (_HAS_BYTES, 4), (_HAS_TOC, 100), (_HAS_QUALITY, 4))
_ENCODER_BYTES = 21
"""From LAME's part of the frame to its delay and padding, 12 bits each."""

_VBRI_AT, _VBRI_FRAMES_AT = 36, 36 + 14


@dataclass(frozen=True, slots=True)
class Header:
    """The whole frame as it stands in the file, and the number of frames it promises, if any."""

    frame: bytes
    promised: int | None

    @property
    def is_vbri(self) -> bool:
        """Whether it is Fraunhofer's, which libmpg123 takes for sound."""
        return self.frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI"


def header_of(frame: bytes, version: int, mono: bool) -> Header | None:
    """Return the header if this frame, of these version bits, is one and no sound."""
    at = 4 + _side_bytes(version, mono)
    if frame[at : at + 4] in (b"Xing", b"Info"):
        counted = len(frame) >= at + 12 and frame[at + 7] & _HAS_FRAMES
        return Header(frame, _number(frame, at + 8) if counted else None)
    if frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI" and len(frame) >= _VBRI_FRAMES_AT + 4:
        return Header(frame, _number(frame, _VBRI_FRAMES_AT))
    return None


def honest(header: Header, frames: int, version: int, mono: bool) -> bytes:
    """Return the header with the true number of frames.

    What it says of the encoder's delay and padding stays, but no padding where the count was wrong: the end
    it stands for is another one.
    """
    at = 4 + _side_bytes(version, mono)
    frame = bytearray(header.frame)
    struct.pack_into(">I", frame, at + 8, frames)
    delay = at + 8 + sum(size for flag, size in _FIELD_BYTES if frame[at + 7] & flag) + _ENCODER_BYTES
    if frames != header.promised and delay + 3 <= len(frame):
        frame[delay + 1] &= 0xF0
        frame[delay + 2] = 0
    return bytes(frame)


def new(frames: int, length: int, version: int, mono: bool, start: bytes) -> bytes:
    """Return a Xing frame of this length that states the number of frames; `start`: its first four bytes."""
    return (
        start + bytes(_side_bytes(version, mono)) + struct.pack(">4sII", b"Xing", _HAS_FRAMES, frames)
    ).ljust(length, b"\0")


def shortest(version: int, mono: bool) -> int:
    """Return how long a frame must be to hold a number of frames."""
    return 4 + _side_bytes(version, mono) + 12


def _side_bytes(version: int, mono: bool) -> int:
    if version == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def _number(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 4], "big")
