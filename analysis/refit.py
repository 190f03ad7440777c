"""Refit: a steady song's beats put back on one grid, as most failures are half-beat flips in mid-song."""

from __future__ import annotations

import numpy as np

from analysis.beats import smoothed
from analysis.smoothing import moving_mean, moving_median
from analysis.spectrum import Floats
from analysis.tempo import Doubles

_FEWEST_BEATS = 16
_NEAR = 0.15
_DRIFT_BEATS = 33
_SEARCH = 0.02


class SteadyGrid:
    """The constant grid closest to some beats, counting those half-way between its lines as on it."""

    def __init__(self, beats: Doubles, onsets: Floats) -> None:
        self.beats = beats
        self.period = _closest_period(beats)
        half = self.period / 2
        turn = np.exp(2j * np.pi * beats / half).mean()
        near = float(np.angle(turn) / (2 * np.pi) * half) % half
        self.phase = _stronger_phase(near, self.period, onsets, beats)
        residual = (beats - self.phase + half / 2) % half - half / 2
        self.share = float(np.mean(np.abs(residual) <= _NEAR * self.period))

    def with_drift(self) -> Doubles:
        """Return the grid from the first to the last beat, following the beats' slow drift around it."""
        half = self.period / 2
        first = round((self.beats[0] - self.phase) / self.period)
        last = round((self.beats[-1] - self.phase) / self.period)
        grid = self.phase + self.period * np.arange(first, last + 1)
        residual = (self.beats - self.phase + half / 2) % half - half / 2
        drift = moving_mean(moving_median(residual, _DRIFT_BEATS), _DRIFT_BEATS)
        return grid + np.interp(grid, self.beats, drift)


def steady_grid(beats: Doubles, onsets: Floats) -> SteadyGrid | None:
    """Fit one constant tempo to the beats (frames); None for fewer than 16 beats."""
    return SteadyGrid(beats, onsets) if len(beats) >= _FEWEST_BEATS else None


def refit(beats: Doubles, onsets: Floats, share: float = 0.9) -> Doubles:
    """Return the steady grid if at least `share` of the beats lie on it, else the beats as they are."""
    grid = steady_grid(beats, onsets)
    if grid is None or grid.share < share:
        return beats
    return grid.with_drift()


def _closest_period(beats: Doubles) -> float:
    """Search ±2 % around the mean period for the one whose half divides the beats best.

    The step shifts the last beat by a twentieth of a beat, so no maximum is stepped over.
    """
    rate = 1.0 / float(np.median(np.diff(beats)))
    span = (beats[-1] - beats[0]) * rate
    steps = int(np.clip(np.ceil(_SEARCH * span / 0.05), 20, 2000))
    step = rate * _SEARCH / steps
    return 1.0 / _best_rate(beats, _best_rate(beats, rate, step, steps), step / 20, 20)


def _best_rate(beats: Doubles, rate: float, step: float, steps: int) -> float:
    """Return which rate (beats a frame), so many steps up or down at most, turns the half beats most alike.

    Every rate is a coarse one plus a fine one, so a product of two small matrices of turns takes the place
    of an exponential for each rate and beat.
    """
    count = 2 * steps + 1
    fine = int(np.ceil(count**0.5))
    turns = 4j * np.pi * (beats - beats[0])
    coarse_turns = np.exp(turns * (rate + step * (fine * np.arange(-(-count // fine)) - steps))[:, None])
    fine_turns = np.exp(turns[:, None] * (step * np.arange(fine)))
    best = int(np.abs(coarse_turns @ fine_turns).ravel()[:count].argmax())
    return rate + step * (best - steps)


def _stronger_phase(near: float, period: float, onsets: Floats, beats: Doubles) -> float:
    """Fold the onset function at the period and take the stronger of the two half-beat phases."""
    curve = smoothed(onsets, period)
    inside = (beats[0], beats[-1])

    def strength(phase: float) -> float:
        first = phase + period * np.ceil((inside[0] - phase) / period)
        lines = np.arange(first, inside[1] + 0.5, period)
        near_lines = (lines[:, None] + np.arange(-1, 2)).ravel()
        return float(np.interp(near_lines, np.arange(len(curve)), curve).mean())

    return max((near, near + period / 2), key=strength)
