"""A quick look at an upload by a real decoder, in a child, before it is accepted."""

from __future__ import annotations

from pathlib import Path

from adapters.audio.pieces import TOLERATED_LOSS
from adapters.audio.reader import AudioReader, too_long
from commands.analysis.ports import Probed, UndecodableAudio

_LOOK_S = 30


def probe(path: Path, cap_s: float) -> Probed:
    """Decode the first 30 s, take the length from the header; raises UndecodableAudio.

    All is decoded when the header cannot be trusted to be short enough. Stricter than `decode`: a file that
    is cut off is refused here, since its sender can still send it again.
    """
    with AudioReader(path, cap_s) as reader:
        rate, promised_ms = reader.rate, reader.promised_ms
        if reader.exact and promised_ms is not None and promised_ms > 1000 * cap_s:
            raise too_long(cap_s)
        duration_ms = _look(reader, promised_ms is None or promised_ms > 1000 * cap_s)
        if (reader.missing or 0) > TOLERATED_LOSS or not reader.ends_well():
            raise UndecodableAudio("undecodable", "cut off: the header promises more than there is")
        return Probed(reader.media_type, duration_ms, rate, reader.channels)


def _look(reader: AudioReader, at_all: bool) -> float:
    """Return the length (ms): counted when the end came into sight, else as promised."""
    for _ in reader.blocks():
        if reader.duration_ms >= 1000 * _LOOK_S and not at_all:
            return max(reader.duration_ms, reader.promised_ms or 0.0)
    return reader.duration_ms
