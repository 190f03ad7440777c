"""How well one beat grid matches another, by the field's standard definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_BEATS = 8
_WINDOW_MS = 70.0
_SIGMA_MS = 40.0


@dataclass(frozen=True, slots=True)
class Scores:
    """F-measure and Cemgil accuracy, both 0..1."""

    f_measure: float
    cemgil: float


def compare(reference_ms: Sequence[float], estimated_ms: Sequence[float]) -> Scores | None:
    """Score a grid against a reference; None if either has fewer than eight beats, too few to tell.

    No beats are left out (some tools trim the first five seconds).
    """
    if min(len(reference_ms), len(estimated_ms)) < FEWEST_BEATS:
        return None
    return Scores(f_measure(reference_ms, estimated_ms), cemgil(reference_ms, estimated_ms))


def f_measure(reference_ms: Sequence[float], estimated_ms: Sequence[float]) -> float:
    """Return the harmonic mean of precision and recall at ±70 ms (Dixon 2007); 0 without beats.

    Each beat pairs with at most one of the other grid; both must be sorted.
    """
    if len(reference_ms) == 0 or len(estimated_ms) == 0:
        return 0.0
    return 2.0 * _pairs(reference_ms, estimated_ms) / (len(reference_ms) + len(estimated_ms))


def cemgil(reference_ms: Sequence[float], estimated_ms: Sequence[float]) -> float:
    """Return the mean of a Gaussian (σ 40 ms) of each reference beat's distance to the nearest (Cemgil 2001).

    Normalised by the mean number of beats, so that beats too many cost as well; 0 without beats.
    """
    reference, estimated = np.asarray(reference_ms, np.float64), np.asarray(estimated_ms, np.float64)
    if len(reference) == 0 or len(estimated) == 0:
        return 0.0
    after = np.clip(np.searchsorted(estimated, reference), 1, max(len(estimated) - 1, 1))
    following = estimated[np.minimum(after, len(estimated) - 1)]
    distance = np.minimum(np.abs(reference - estimated[after - 1]), np.abs(reference - following))
    closeness = float(np.exp(-(distance**2) / (2.0 * _SIGMA_MS**2)).sum())
    return closeness / (0.5 * (len(reference) + len(estimated)))


def _pairs(reference: Sequence[float], estimated: Sequence[float]) -> int:
    """Count the most pairs within ±70 ms; for sorted times, pairing from the left is a maximum matching."""
    paired = at = 0
    for beat in reference:
        while at < len(estimated) and estimated[at] < beat - _WINDOW_MS:
            at += 1
        if at < len(estimated) and estimated[at] <= beat + _WINDOW_MS:
            paired += 1
            at += 1
    return paired
