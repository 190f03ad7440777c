"""A quick look at an upload by a real decoder, in a child, before it is accepted."""

from __future__ import annotations

from pathlib import Path

from adapters.audio.pieces import TOLERATED_LOSS
from adapters.audio.reader import AudioReader, too_long
from commands.ports import Probed, UndecodableAudio

_LOOK_S = 30


def probe(path: Path, cap_s: float) -> Probed:
    """Decode the first 30 s, take the length from the header; raises UndecodableAudio.

    All is decoded when the header cannot be trusted to be short enough. Stricter than `decode`: a file that
    is cut off is refused here, since its sender can still send it again.
    """
    with AudioReader(path, cap_s) as reader:
        promised_s = None if reader.promised_frames is None else reader.promised_frames / reader.rate
        if reader.exact and promised_s is not None and promised_s > cap_s:
            raise too_long(cap_s)
        frames = _look(reader, promised_s is None or promised_s > cap_s)
        if (reader.missing or 0) > TOLERATED_LOSS or not reader.ends_well():
            raise UndecodableAudio("undecodable", "cut off: the header promises more than there is")
        return Probed(reader.media_type, 1000 * frames / reader.rate, reader.rate, reader.channels)


def _look(reader: AudioReader, at_all: bool) -> int:
    """Return the number of frames: counted when the end came into sight, else as promised."""
    for _ in reader.blocks():
        if reader.frames >= _LOOK_S * reader.rate and not at_all:
            return max(reader.frames, reader.promised_frames or 0)
    return reader.frames
