"""The short-time spectrum all later stages read, in blocks, so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE = 22_050
WINDOW = 1024
HOP = 256
FRAME_RATE = SAMPLE_RATE / HOP
MEL_BANDS = 40

Floats = NDArray[np.float32]

_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_000.0
_BLOCK_FRAMES = 256  # a multiple of four; fewer cost a fifth, more only page faults


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
    """Yield magnitudes (frames × size/2 + 1), a full-scale sine giving 1; frame i is around sample i·256.

    A block is overwritten by the next: memory that is new each time costs as much as the transform.
    """
    import scipy.fft  # readers of maps import this module for its constants only

    window, count = _hann(size), len(samples) // HOP + 1
    windowed = np.empty((_BLOCK_FRAMES, size), np.float32)
    magnitudes = np.empty((_BLOCK_FRAMES, size // 2 + 1), np.float32)
    for start in range(0, count, _BLOCK_FRAMES):
        frames = min(_BLOCK_FRAMES, count - start)
        piece = _stretch(samples, start * HOP - size // 2, (start + frames - 1) * HOP + size // 2)
        np.multiply(sliding_window_view(piece, size)[::HOP], window, out=windowed[:frames])
        spectrum = np.asarray(scipy.fft.rfft(windowed[:frames], axis=1))
        yield np.abs(spectrum, out=magnitudes[:frames])


def _stretch(samples: Floats, low: int, high: int) -> Floats:
    """Return the samples from `low` to `high`, silence where there are none."""
    if low >= 0 and high <= len(samples):
        return samples[low:high]
    return np.pad(samples[max(low, 0) : high], (max(-low, 0), max(high - len(samples), 0)))
