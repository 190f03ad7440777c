"""Waveform peaks for drawing: the lowest and highest sample of each stretch, at several zooms.

The binary file and the JSON are audiowaveform's version 2 (bbc/audiowaveform, doc/DataFormat.md), which
waveform viewers read: 8 bit, one channel, little-endian, one file a zoom.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from analysis.spectrum import SAMPLE_RATE, Floats

ZOOMS = (256, 1024, 4096, 16_384)
"""Samples a pair of values stands for; at 22,050 Hz from 12 ms to 0.74 s."""

_HEADER = struct.Struct("<iIiiIi")
_VERSION, _EIGHT_BIT, _CHANNELS = 2, 1, 1


@dataclass(frozen=True, slots=True)
class Peaks:
    """One zoom: pairs of lowest and highest value, -128..127, each for `samples_per_pixel` samples."""

    samples_per_pixel: int
    pairs: NDArray[np.int8]

    def binary(self) -> bytes:
        """Return the `.dat` file: a header of 24 bytes, then the pairs."""
        header = (_VERSION, _EIGHT_BIT, SAMPLE_RATE, self.samples_per_pixel, len(self.pairs), _CHANNELS)
        return _HEADER.pack(*header) + self.pairs.tobytes()

    def json(self) -> bytes:
        """Return the same as JSON."""
        return msgspec.json.encode(
            {
                "version": _VERSION,
                "channels": _CHANNELS,
                "sample_rate": SAMPLE_RATE,
                "samples_per_pixel": self.samples_per_pixel,
                "bits": 8,
                "length": len(self.pairs),
                "data": self.pairs.ravel().tolist(),
            }
        )


def peaks(samples: Floats) -> tuple[Peaks, ...]:
    """Return all zooms, finest first; each coarser one is made of the one before."""
    found: list[Peaks] = []
    low = high = samples
    reached = 1
    for zoom in ZOOMS:
        low, high = _grouped(low, zoom // reached, np.minimum), _grouped(high, zoom // reached, np.maximum)
        reached = zoom
        pairs = np.clip(np.round(np.stack([low, high], axis=1) * 127.0), -128, 127).astype(np.int8)
        found.append(Peaks(zoom, pairs))
    return tuple(found)


def _grouped(values: Floats, size: int, extreme: np.ufunc) -> Floats:
    if len(values) == 0:
        return values
    return extreme.reduceat(values, np.arange(0, len(values), size))
