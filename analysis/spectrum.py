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
_BLOCK_FRAMES = 1024


@cache
def _hann() -> Floats:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


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


def magnitude_blocks(samples: Floats) -> Iterator[Floats]:
    """Yield magnitudes (frames × 513), a full-scale sine giving 1; frame i is centred on sample i·256."""
    padded = np.pad(samples, (WINDOW // 2, WINDOW // 2))
    frames = sliding_window_view(padded, WINDOW)[::HOP]
    window = _hann() * np.float32(4.0 / WINDOW)
    for start in range(0, len(frames), _BLOCK_FRAMES):
        spectrum = scipy.fft.rfft(frames[start : start + _BLOCK_FRAMES] * window, axis=1)
        yield np.abs(np.asarray(spectrum))


def mel_spectrum(samples: Floats) -> Floats:
    """Return the mel magnitudes, frames × 40."""
    return np.concatenate([block @ mel_filters() for block in magnitude_blocks(samples)])
