"""The rhythm layer of the map: what can be read off a beat grid, and what needs the audio as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.metrics import FEWEST_BEATS
from analysis.smoothing import moving_median
from analysis.spectrum import FRAME_RATE, Floats
from analysis.tempo import Doubles

_SMOOTHING_BEATS = 9


def tempo_of(beats_ms: Sequence[float]) -> float | None:
    """Return 60 s / median interval in BPM, two decimals; None below eight beats."""
    if len(beats_ms) < FEWEST_BEATS:
        return None
    return round(60_000.0 / float(np.median(np.diff(beats_ms))), 2)


def tempo_curve(beats_ms: Sequence[float]) -> dict[str, Any] | None:
    """Return the local tempo once a second from the first beat on (BPM); None below eight beats.

    The tempo between two beats is 60 s / interval, then the median of nine neighbours.
    """
    if len(beats_ms) < FEWEST_BEATS:
        return None
    beats = np.asarray(beats_ms, dtype=np.float64)
    intervals = moving_median(np.diff(beats), _SMOOTHING_BEATS)
    at = np.arange(beats[0], beats[-1], 1000.0)
    values = np.interp(at, (beats[1:] + beats[:-1]) / 2, 60_000.0 / intervals)
    return {
        "unit": "bpm",
        "rateHz": 1.0,
        "startMs": round(float(beats[0]), 1),
        "values": [round(float(v), 2) for v in values],
    }


def beat_strengths(beats_ms: Doubles, onsets: Floats) -> list[float]:
    """Return how strongly something begins at each beat, 1 at the strongest.

    It is the onset function's top within two frames (±23 ms).
    """
    if len(beats_ms) == 0:
        return []
    frames = np.round(beats_ms * FRAME_RATE / 1000.0).astype(np.intp)
    near = np.clip(frames[:, None] + np.arange(-2, 3), 0, len(onsets) - 1)
    tops = onsets[near].max(axis=1)
    return [round(float(v), 3) for v in tops / max(float(tops.max()), 1e-9)]


def rounded_ms(times_ms: Doubles) -> tuple[float, ...]:
    """Return strictly increasing times rounded to 0.1 ms: the precision of the map."""
    return tuple(float(t) for t in np.unique(np.round(times_ms, 1)))
