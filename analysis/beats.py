"""Beats by dynamic programming: the chain of onsets that keeps closest to the tempo path."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.smoothing import gaussian
from analysis.spectrum import Floats
from analysis.tempo import Doubles


def track_beats(onsets: Floats, periods: Doubles, tightness: float) -> Doubles:
    """Return beat times in frames (Ellis 2007, with a period that varies).

    Each frame's score is its onset strength plus the best predecessor's, 0.5 to 2 periods back,
    less tightness · ln²(distance / period).
    """
    if len(onsets) == 0 or float(onsets.max()) <= 0.0:
        return np.zeros(0)
    local = smoothed(onsets, float(np.median(periods)))
    total, origin = _best_chains(local, periods, tightness)
    last_period = int(np.ceil(periods[-1] * 1.5))
    tail = max(len(total) - last_period, 0)
    chain = [tail + int(total[tail:].argmax())]
    while (before := int(origin[chain[-1]])) >= 0:
        chain.append(before)
    return _between_frames(local, np.array(chain[::-1]))


def smoothed(onsets: Floats, period: float) -> Doubles:
    """Blur by 1/32 of a period, so that a stroke a frame off its place still counts."""
    return gaussian(onsets, period / 32.0)


def _best_chains(local: Doubles, periods: Doubles, tightness: float) -> tuple[Doubles, NDArray[np.intp]]:
    """Score all frames, a block at a time; return the scores and each frame's predecessor, -1 for none.

    No predecessor is nearer than half a period, so the frames of a block shorter than that do not depend
    on each other: numpy takes the place of the loop over frames, five times as fast.
    """
    count, reach = len(local), int(np.ceil(2 * periods.max())) + 1
    total = np.zeros(reach + count + reach)  # frames outside score 0, so a chain begins where none is better
    windows = sliding_window_view(total, reach)
    gain, distance = np.zeros(count), np.zeros(count, dtype=np.intp)
    rows = np.arange(reach)
    start = 0
    while start < count:
        period = float(periods[start])
        nearest, furthest = max(round(period / 2), 1), round(2 * period)
        end = min(start + nearest, count)
        size, first = end - start, reach + start - furthest
        penalty = _penalty(furthest, nearest, period, tightness)
        candidates = windows[first : first + size, : len(penalty)] - penalty
        best = candidates.argmax(axis=1)
        gain[start:end] = candidates[rows[:size], best]
        distance[start:end] = furthest - best
        total[reach + start : reach + end] = local[start:end] + np.maximum(gain[start:end], 0.0)
        start = end
    return total[reach : reach + count], np.where(gain > 0.0, np.arange(count) - distance, -1)


@lru_cache(maxsize=512)
def _penalty(furthest: int, nearest: int, period: float, tightness: float) -> Doubles:
    """Return tightness · ln²(distance / period) from the furthest to the nearest predecessor."""
    return tightness * np.log(np.arange(furthest, nearest - 1, -1) / period) ** 2


def _between_frames(local: Doubles, beats: NDArray[np.intp]) -> Doubles:
    """Move each beat to the top of the parabola through it and its neighbours, at most half a frame."""
    inner = np.clip(beats, 1, len(local) - 2)
    before, at, after = local[inner - 1], local[inner], local[inner + 1]
    curvature = before - 2 * at + after
    shift = np.where(curvature < -1e-9, 0.5 * (before - after) / np.minimum(curvature, -1e-9), 0.0)
    return beats.astype(np.float64) + np.where((inner == beats) & (np.abs(shift) <= 0.5), shift, 0.0)


def trim_silence(beats: Doubles, sounding: NDArray[np.bool_]) -> Doubles:
    """Drop beats before the first and after the last sounding frame."""
    frames = np.flatnonzero(sounding)
    if len(frames) == 0:
        return beats[:0]
    return beats[(beats >= frames[0] - 4) & (beats <= frames[-1] + 4)]
