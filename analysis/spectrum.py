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
BLOCK_FRAMES = 256
"""Frames of a block, a multiple of four: fewer cost a fifth more, more only page faults."""

_BANDS_PER_GROUP = 8


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


def mel_bands(magnitudes: Floats, out: Floats) -> None:
    """Write the mel magnitudes (frames × 40) of a block into `out`."""
    for bins, bands, weights in _mel_groups():
        np.matmul(magnitudes[:, bins], weights, out=out[:, bands])


@cache
def _mel_groups() -> list[tuple[slice, slice, Floats]]:
    """Return the filters in groups of eight, each with the bins it hears: a fifth of the whole product."""
    filters = mel_filters()
    groups: list[tuple[slice, slice, Floats]] = []
    for first in range(0, MEL_BANDS, _BANDS_PER_GROUP):
        bands = slice(first, first + _BANDS_PER_GROUP)
        heard = np.flatnonzero(filters[:, bands].any(axis=1))
        bins = slice(int(heard[0]), int(heard[-1]) + 1)
        groups.append((bins, bands, np.ascontiguousarray(filters[bins, bands])))
    return groups


def frame_count(samples: Floats) -> int:
    """Return how many frames `magnitude_blocks` makes of these samples."""
    return len(samples) // HOP + 1


def magnitude_blocks(samples: Floats, offset: np.float32, size: int = WINDOW) -> Iterator[Floats]:
    """Yield magnitudes (frames × size/2 + 1), a full-scale sine giving 1; frame i is around sample i·256.

    `offset` is taken off the samples. A block is overwritten by the next: memory that is new each time costs
    as much as the transform.
    """
    import scipy.fft  # readers of maps import this module for its constants only

    window, count = _hann(size), frame_count(samples)
    stretch = np.empty((BLOCK_FRAMES - 1) * HOP + size, np.float32)
    frames_of_stretch = sliding_window_view(stretch, size)[::HOP]
    windowed = np.empty((BLOCK_FRAMES, size), np.float32)
    magnitudes = np.empty((BLOCK_FRAMES, size // 2 + 1), np.float32)
    for start in range(0, count, BLOCK_FRAMES):
        frames = min(BLOCK_FRAMES, count - start)
        _fill(stretch, samples, offset, start * HOP - size // 2)
        np.multiply(frames_of_stretch[:frames], window, out=windowed[:frames])
        spectrum = np.asarray(scipy.fft.rfft(windowed[:frames], axis=1))
        yield np.abs(spectrum, out=magnitudes[:frames])


def _fill(stretch: Floats, samples: Floats, offset: np.float32, low: int) -> None:
    """Fill a stretch with the samples from `low` on less their offset, silence where there are none."""
    inside = samples[max(low, 0) : max(low + len(stretch), 0)]
    first = min(max(-low, 0), len(stretch))
    last = first + len(inside)
    stretch[:first] = 0.0
    np.subtract(inside, offset, out=stretch[first:last])
    stretch[last:] = 0.0
