"""The short-time spectrum all later stages read, in blocks, so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE = 22_050
WINDOW = 1024
HOP = 256
FRAME_RATE = SAMPLE_RATE / HOP
MEL_BANDS = 40

Floats = NDArray[np.float32]

_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_000.0
_BLOCK_FRAMES = 128  # fits the second-level cache


@cache
def _hann(size: int) -> Floats:
    """Return a periodic Hann window that gives a full-scale sine the magnitude 1."""
    return ((0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)) * 4.0 / size).astype(np.float32)


@cache
def bin_hz() -> Floats:
    """Return the centre frequency of each of the 513 bins."""
    return np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE).astype(np.float32)


@cache
def mel_filters() -> Floats:
    """Return 513 × 40 triangular filters of equal area, 30–10,000 Hz, even in mel (O'Shaughnessy 1987)."""
    lowest, highest = 2595.0 * np.log10(1.0 + np.array([_LOWEST_HZ, _HIGHEST_HZ]) / 700.0)
    edges_mel = np.linspace(lowest, highest, MEL_BANDS + 2)
    edges = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    hz = bin_hz().astype(np.float64)[:, None]
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    return (np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)).astype(np.float32)


def magnitude_blocks(samples: Floats, size: int = WINDOW) -> Iterator[Floats]:
    """Yield magnitudes (frames × size/2 + 1), a full-scale sine giving 1; frame i is around sample i·256."""
    window, count = _hann(size), len(samples) // HOP + 1
    for start in range(0, count, _BLOCK_FRAMES):
        low = start * HOP - size // 2
        high = (min(start + _BLOCK_FRAMES, count) - 1) * HOP + size // 2
        piece = np.pad(samples[max(low, 0) : high], (max(-low, 0), max(high - len(samples), 0)))
        spectrum = scipy.fft.rfft(sliding_window_view(piece, size)[::HOP] * window, axis=1)
        yield np.abs(np.asarray(spectrum))
