"""Smoothing of curves, as scipy.ndimage does it, whose import takes longer than the beats of a song."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.tempo import Doubles


def moving_mean(values: NDArray[np.floating], size: int) -> Doubles:
    """Average `size` values around each; beyond the ends the first and the last go on."""
    padded = np.pad(values.astype(np.float64), (size // 2, (size - 1) // 2), mode="edge")
    total = np.concatenate([np.zeros(1), np.cumsum(padded)])
    return (total[size:] - total[:-size]) / size


def moving_median(values: Doubles, size: int) -> Doubles:
    """Take the median of `size` (odd) values around each; beyond the ends the first and the last go on."""
    padded = np.pad(values, size // 2, mode="edge")
    return np.median(sliding_window_view(padded, size), axis=1)


def gaussian(values: NDArray[np.floating], sigma: float) -> Doubles:
    """Blur by a Gaussian cut off at 4 sigma; beyond the ends there is nothing."""
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    blurred = np.convolve(values.astype(np.float64), kernel / kernel.sum())[radius : radius + len(values)]
    return np.asarray(blurred, dtype=np.float64)
