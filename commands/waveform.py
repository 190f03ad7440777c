"""The waveform's peaks as files: all zooms in one, binary and JSON, each zoom in audiowaveform's format."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from analysis.peaks import Peaks

_HEADER = struct.Struct("<iIiiIi")
"""Version, flags, sample rate, samples a pair, pairs, channels: doc/DataFormat.md of audiowaveform."""


def zooms(binary: bytes) -> Iterator[Peaks]:
    """Yield the zooms of concatenated files: each header tells where the next begins."""
    at = 0
    while at < len(binary):
        _, _, _, samples_per_pixel, length, _ = _HEADER.unpack_from(binary, at)
        pairs = np.frombuffer(binary, np.int8, 2 * length, at + _HEADER.size)
        yield Peaks(samples_per_pixel, pairs.reshape(length, 2))
        at += _HEADER.size + 2 * length


def as_json(binary: bytes) -> bytes:
    """Return the same zooms as `{"zooms": [...]}`."""
    return b'{"zooms":[' + b",".join(zoom.json() for zoom in zooms(binary)) + b"]}"
