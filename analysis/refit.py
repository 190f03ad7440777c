"""Refit: a steady song's beats put back on one grid, as most failures are half-beat flips in mid-song."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from analysis.beats import smoothed
from analysis.cues import Cues
from analysis.cuts import is_cut, kick_contrast, runs_of
from analysis.smoothing import moving_mean, moving_median
from analysis.tempo import Doubles

_FEWEST_BEATS = 16
_NEAR = 0.15
_DRIFT_BEATS = 33
_SEARCH = 0.02
_STEADY_SHARE = 0.9
MUCH_STRONGER = 1.5
"""A chain free to move collects this much more a beat than a grid only where the music leaves the grid.

In steady songs of the open half, breaks included, it is 1.36 times at most; under rubato at least 1.98.
"""
_CLEAR_KICK = 0.75
"""Of 47 songs of the open half with drums none has a kick contrast below -0.54 on its true beats."""


class SteadyGrid:
    """The constant grid closest to some beats, counting those half-way between its lines as on it."""

    def __init__(self, beats: Doubles) -> None:
        self.beats = beats
        self.period = _closest_period(beats)
        half = self.period / 2
        turn = np.exp(2j * np.pi * beats / half).mean()
        self.phase = float(np.angle(turn) / (2 * np.pi) * half) % half
        residual = (beats - self.phase + half / 2) % half - half / 2
        self.share = float(np.mean(np.abs(residual) <= _NEAR * self.period))
        self._drift = moving_mean(moving_median(residual, _DRIFT_BEATS), _DRIFT_BEATS)

    def phases(self, cues: Cues) -> tuple[Doubles, Doubles]:
        """Return the grid from the first to the last beat, with their slow drift, shifted by half at cuts.

        The second of the two is half a beat behind the first.
        """
        bounds, curve = self._bounds(cues), smoothed(cues.onsets, self.period)
        return self._lines(bounds, 0, curve), self._lines(bounds, 1, curve)

    def _bounds(self, cues: Cues) -> list[float]:
        """Return where the grid begins, where cuts shift it by half a beat, and where it ends."""
        halves = np.round((self.beats - self.phase) / (self.period / 2)).astype(np.intp) % 2
        start, end = self.beats[0] - self.period / 2, self.beats[-1] + self.period / 2
        bounds = [float(start)]
        for before, after in pairwise(runs_of(halves)):
            cut = float(self.beats[before[-1]] + self.beats[after[0]]) / 2
            following = float(self.beats[after[-1]])
            if is_cut(self._between(bounds[-1], cut, 0), self._between(cut, following, 0), cues):
                bounds.append(cut)
        return [*bounds, float(end)]

    def _lines(self, bounds: list[float], halves: int, curve: Doubles) -> Doubles:
        """Return the lines so many half beats behind the phase, one half more from each cut on."""
        cuts = [self._exact_cut(near, halves + cut, curve) for cut, near in enumerate(bounds[1:-1])]
        stretches = enumerate(pairwise([bounds[0], *cuts, bounds[-1]]))
        lines = np.concatenate([self._between(low, high, halves + cut) for cut, (low, high) in stretches])
        return lines[lines >= 0.0]

    def _exact_cut(self, near: float, halves: int, curve: Doubles) -> float:
        """Return where, within eight beats, to leave the lines before a cut for those behind it.

        What is collected at the lines is to be the most; a line where nothing begins costs half a usual one.
        """
        low, high = near - 8 * self.period, near + 8 * self.period
        before, behind = self._between(low, high, halves), self._between(low, high, halves + 1)
        gains = [np.interp(lines, np.arange(len(curve)), curve) for lines in (before, behind)]
        usual = float(np.mean(np.concatenate(gains))) / 2
        cuts = np.sort(np.concatenate([before, behind])) - self.period / 4
        scores = [
            float(np.sum(gains[0][before < cut] - usual) + np.sum(gains[1][behind >= cut] - usual))
            for cut in cuts
        ]
        return float(cuts[int(np.argmax(scores))])

    def _between(self, low: float, high: float, halves: int) -> Doubles:
        phase = self.phase + (halves % 2) * self.period / 2
        first, end = np.ceil((low - phase) / self.period), np.ceil((high - phase) / self.period)
        lines = phase + self.period * np.arange(first, end)
        return lines + np.interp(lines, self.beats, self._drift)


def steady_grid(beats: Doubles) -> SteadyGrid | None:
    """Fit one constant tempo to the beats (frames); None for fewer than 16 beats."""
    return SteadyGrid(beats) if len(beats) >= _FEWEST_BEATS else None


def refit(beats: Doubles, cues: Cues) -> Doubles:
    """Return the steady grid if the beats lie on it and the onsets do, else the beats as they are."""
    grid = steady_grid(beats)
    if grid is None or grid.share < _STEADY_SHARE:
        return beats
    on, off = grid.phases(cues)
    curve = smoothed(cues.onsets, grid.period)
    strengths = strength(on, curve), strength(off, curve)
    if strength(beats, curve) > MUCH_STRONGER * max(strengths):
        return beats
    kick = kick_contrast(on, cues.kick)
    # Where the off-beat has the loud bass and cymbals, the kick is all that is left to tell the beat by.
    is_on = kick > 0.0 if abs(kick) >= _CLEAR_KICK else strengths[0] >= strengths[1]
    return on if is_on else off


def strength(beats: Doubles, curve: Doubles) -> float:
    """Return the mean of a smoothed onset function at some beats (frames)."""
    return float(np.interp(beats, np.arange(len(curve)), curve).mean()) if len(beats) else 0.0


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
