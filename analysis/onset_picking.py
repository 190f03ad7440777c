"""aubio's rule for where in an onset function the onsets are, in numpy: a sixth of the time, the same onsets.

aubio 0.4.9, src/onset/peakpicker.c and onset.c (Brossier 2006); a test holds it to `aubio.onset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from analysis.spectrum import HOP, Floats
from analysis.tempo import Doubles

_BEFORE, _AFTER = 1, 5
_LENGTH = _AFTER + _BEFORE + 1
_FORWARD, _BACK = (0.15998789, 0.31997577, 0.15998789), (0.23484048, 0.0)  # a low-pass of aubio's


@dataclass(frozen=True, slots=True)
class PickingRule:
    """A threshold over the local median, and in samples: the shortest interval and the picker's delay."""

    threshold: float
    shortest: int
    delay: int


def pick_onsets(novelty: Floats, loud: NDArray[np.bool_], rule: PickingRule) -> list[int]:
    """Return the onsets (samples) of an onset function with one value a hop; silent hops have none."""
    at, rise = _peaks(novelty, rule.threshold)
    tops = dict(zip(at.tolist(), np.floor((at + rise) * HOP + 0.5).astype(np.intp).tolist(), strict=True))
    starts = range(min(rule.delay // HOP + 1, len(loud)))  # sound that is there at once begins somewhere
    onsets: list[int] = []
    last = 0
    for hop in sorted({*tops, *starts}):
        onset = tops.get(hop, hop * HOP)
        near = hop > 0 and last + rule.shortest >= onset
        early = hop in tops and last > 0 and onset < rule.delay
        if loud[hop] and not near and not early:
            last = max(onset, rule.delay) if hop in tops else onset + rule.delay
            onsets.append(last - rule.delay)
    return onsets


def _peaks(novelty: Floats, threshold: float) -> tuple[NDArray[np.intp], Doubles]:
    """Return the hops at which a peak is noticed, and the hops from there to its top (0.5 to 1.5)."""
    padded = np.pad(novelty.astype(np.float64), (_LENGTH - 1, 0))
    filtered = sliding_window_view(padded, _LENGTH) @ _low_pass()
    median = np.sort(filtered, axis=1)[:, _LENGTH // 2]
    above = np.pad(filtered[:, _AFTER] - median - threshold * filtered.mean(axis=1), (2, 0))
    before, top, after = above[:-2], above[1:-1], above[2:]
    at = np.flatnonzero((top > before) & (top > after) & (top > 0.0))
    bend = before[at] - 2.0 * top[at] + after[at]
    return at, 1.0 + 0.5 * (before[at] - after[at]) / bend


@cache
def _low_pass() -> Doubles:
    """Return the 7 × 7 matrix that filters seven values forwards and then backwards."""
    once = np.zeros((_LENGTH, _LENGTH))
    for column in range(_LENGTH):
        for row in range(column, _LENGTH):
            lag = row - column
            once[row, column] = _FORWARD[lag] if lag < len(_FORWARD) else 0.0
            for back, weight in enumerate(_BACK, start=1):
                once[row, column] -= weight * once[row - back, column] if row - back >= column else 0.0
    backwards = once[::-1, ::-1]
    return np.ascontiguousarray((backwards @ once).T)
