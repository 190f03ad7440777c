"""Beats by dynamic programming: the chain of onsets that keeps closest to the tempo path."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.smoothing import gaussian
from analysis.spectrum import Floats
from analysis.tempo import Doubles

_FURTHEST = 1.6


def track_beats(onsets: Floats, periods: Doubles, tightness: float) -> Doubles:
    """Return beat times in frames (Ellis 2007, with a period that varies).

    Each frame's score is its onset strength plus the best predecessor's, 0.5 to 2 periods back,
    less tightness · ln²(distance / period). From 1.5 periods on two steps of half the distance cost less than
    one, so nothing is looked for beyond 1.6.
    """
    if len(onsets) == 0 or float(onsets.max()) <= 0.0:
        return np.zeros(0)
    local = smoothed(onsets, float(np.median(periods)))
    chains = _Chains(local, periods, tightness)
    return _between_frames(local, chains.best())


def smoothed(onsets: Floats, period: float) -> Doubles:
    """Blur by 1/32 of a period, so that a stroke a frame off its place still counts."""
    return gaussian(onsets, period / 32.0)


class _Chains:
    """The score of the best chain of beats that ends at each frame, and the way back along one.

    Frames are scored a block at a time. No predecessor is nearer than half a period, so the frames of a block
    shorter than that do not depend on each other. Who came before is asked again for the beats of the best
    chain alone: to note it for every frame took as long as the scores.
    """

    def __init__(self, local: Doubles, periods: Doubles, tightness: float) -> None:
        self._tightness = tightness
        self._tail = int(np.ceil(periods[-1] * 1.5))
        self._reach = int(np.ceil(_FURTHEST * periods.max())) + 1
        # Frames outside score 0, so a chain begins where no predecessor is better.
        self._total = np.zeros(self._reach + len(local) + self._reach)
        self._period = np.empty(len(local))  # that of each frame's block
        self._score(local, periods.tolist())

    def best(self) -> NDArray[np.intp]:
        """Return the beats (frames) of the best chain that ends near the end."""
        total = self._total[self._reach : self._reach + len(self._period)]
        tail = max(len(total) - self._tail, 0)
        chain = [tail + int(total[tail:].argmax())]
        while (before := self._predecessor(chain[-1])) >= 0:
            chain.append(before)
        return np.array(chain[::-1])

    def _score(self, local: Doubles, periods: list[float]) -> None:
        windows = sliding_window_view(self._total, self._reach)
        scratch = np.empty((self._reach, self._reach))
        start = 0
        while start < len(local):
            period = periods[start]
            nearest, furthest, penalty = _predecessors(period, self._tightness)
            end = min(start + nearest, len(local))
            first = self._reach + start - furthest
            candidates = windows[first : first + end - start, : len(penalty)]
            gains = np.subtract(candidates, penalty, out=scratch[: end - start, : len(penalty)])
            best = np.maximum.reduce(gains, axis=1, initial=0.0)
            np.add(local[start:end], best, out=self._total[self._reach + start : self._reach + end])
            self._period[start:end] = period
            start = end

    def _predecessor(self, frame: int) -> int:
        """Return the frame of the beat before this one, -1 where the chain begins."""
        nearest, furthest, penalty = _predecessors(float(self._period[frame]), self._tightness)
        at = self._reach + frame
        gains = self._total[at - furthest : at - nearest + 1] - penalty
        best = int(gains.argmax())
        return frame - furthest + best if gains[best] > 0.0 else -1


@lru_cache(maxsize=512)
def _predecessors(period: float, tightness: float) -> tuple[int, int, Doubles]:
    """Return how far back the nearest and the furthest predecessor may be, and what each of them costs.

    The cost is tightness · ln²(distance / period), the furthest one's first.
    """
    nearest, furthest = max(round(period / 2), 1), round(_FURTHEST * period)
    return nearest, furthest, tightness * np.log(np.arange(furthest, nearest - 1, -1) / period) ** 2


def _between_frames(local: Doubles, beats: NDArray[np.intp]) -> Doubles:
    """Move each beat to the top of the parabola through it and its neighbours, at most half a frame."""
    inner = np.clip(beats, 1, len(local) - 2)
    before, at, after = local[inner - 1], local[inner], local[inner + 1]
    curvature = before - 2 * at + after
    shift = np.where(curvature < -1e-9, 0.5 * (before - after) / np.minimum(curvature, -1e-9), 0.0)
    return beats.astype(np.float64) + np.where((inner == beats) & (np.abs(shift) <= 0.5), shift, 0.0)
