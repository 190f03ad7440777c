"""Cuts: places in a steady song where half a beat has been put in or taken out, and all goes on shifted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.cues import Cues
from analysis.spectrum import Floats
from analysis.tempo import Doubles

_FEWEST_BEATS = 12
_ALIKE, _BETTER = 0.8, 0.4
_KICK_FRAMES = np.arange(2, 7)  # 23 to 70 ms after a stroke begins: its body, not its click
_CLEAR_KICK = 0.3
_QUARTERS = 4


def runs_of(halves: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the runs of beats (as indices) on the same half of the grid, those of under a dozen left out.

    `halves` says of each beat whether it lies on the grid's lines (0) or half-way between them (1).
    """
    runs = np.split(np.arange(len(halves)), np.flatnonzero(np.diff(halves)) + 1)
    merged: list[NDArray[np.intp]] = []
    for run in runs:
        if len(run) < _FEWEST_BEATS:
            continue
        if merged and halves[merged[-1][0]] == halves[run[0]]:
            merged[-1] = np.concatenate([merged[-1], run])
        else:
            merged.append(run)
    return merged


def is_cut(before: Doubles, after: Doubles, cues: Cues) -> bool:
    """Tell a cut from a syncopated passage by the pattern of the beat on either side.

    `before` and `after` are lines of one grid (frames). Behind a cut all bands, and the kick with them, sound
    as before but half a beat later; in a syncopated passage some bands move and others stay.
    """
    first, second = _pattern(before, cues.bands), _pattern(after, cues.bands)
    as_it_is = _correlation(first, second)
    shifted = _correlation(first, np.roll(second, _QUARTERS // 2, axis=0))
    if shifted < _ALIKE or shifted - as_it_is < _BETTER:
        return False
    kicks = kick_contrast(before, cues.kick), kick_contrast(after, cues.kick)
    return kicks[0] * kicks[1] <= 0.0 or min(map(abs, kicks)) < _CLEAR_KICK


def kick_contrast(lines: Doubles, kick: Floats) -> float:
    """Return how much louder the kick is after the lines than after their middles, in standard deviations."""
    deviation = float(kick.std())
    if len(lines) < 2 or deviation <= 0.0:
        return 0.0

    def level(at: Doubles) -> float:
        frames = np.round(at).astype(np.intp)[:, None] + _KICK_FRAMES
        return float(kick[np.clip(frames, 0, len(kick) - 1)].mean())

    return (level(lines[:-1]) - level((lines[:-1] + lines[1:]) / 2)) / deviation


def _pattern(lines: Doubles, bands: Floats) -> Doubles:
    """Return how strongly something begins in each band at each quarter of a beat, 4 × bands."""
    deviation = np.maximum(bands.std(axis=0), 1e-9)
    steps = np.linspace(0.0, 1.0, _QUARTERS, endpoint=False)
    at = lines[:-1, None] + steps * np.diff(lines)[:, None]
    frames = np.clip(np.round(at).astype(np.intp)[:, :, None] + np.arange(-1, 2), 0, len(bands) - 1)
    return bands[frames].max(axis=2).mean(axis=0) / deviation


def _correlation(one: Doubles, other: Doubles) -> float:
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    norm = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.sum(one * other)) / norm if norm > 0.0 else 0.0
