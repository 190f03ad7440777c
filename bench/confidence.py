"""Fits the weights of `analysis.confidence` to annotated recordings, and tests them on those left out.

`python -m bench.confidence FOLDER` reads every NAME.beats in FOLDER (a time in s and a place in the bar a
line) and the audio beside it. It prints the weights, and for each range of confidence how many songs were
right, each song judged by weights that were fitted to the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.audio.decode import decode
from analysis.agreement import second_grids
from analysis.aubio_trackers import onset_curves
from analysis.confidence import evidence, figures
from analysis.cues import cues_of
from analysis.descriptors import describe
from analysis.downbeats import bars
from analysis.metrics import f_measure
from analysis.passages import Passage, passages
from analysis.sound import heard
from analysis.tracker import to_ms, track

Doubles = NDArray[np.float64]

_RIGHT = 0.8
_CAP_S = 1200.0
_EDGES = (0.0, 0.6, 0.8, 0.9, 1.0)
_PENALTY = 0.2  # on all weights but constants: keeps what no song contradicts finite

Labelled = dict[str, tuple[tuple[float, ...], bool]]
"""For each confidence its figures, and whether that part of the grid is right, if that can be told."""


def labelled(audio: Path, true: Doubles) -> Labelled:
    """Analyse a recording and compare it with its true beats (rows of s and place in the bar)."""
    sound = heard(decode(audio, lambda _: None, _CAP_S).samples)
    described = describe(sound)
    heard_in = [Passage(frames, cues_of(described, frames)) for frames in passages(sound)]
    grids = [to_ms(p.frames.start + track(p.cues, "auto")) for p in heard_in]
    beats = np.concatenate(grids)
    seconds = second_grids(beats, heard_in, described.mel, onset_curves(sound).kl)
    found_bars = bars(grids, described.mel)
    found = figures(evidence(grids, heard_in, seconds), found_bars.lead)
    right = _right(beats, true[:, 0] * 1000.0) | _metre_right(found_bars.metre, true)
    return {name: (found[name], right[name]) for name in right}


def _right(beats: Doubles, true_ms: Doubles) -> dict[str, bool]:
    """Say which parts of a grid are right; octave only if the beats are, phase only if the octave is."""
    middles = (beats[:-1] + beats[1:]) / 2
    doubled = np.sort(np.concatenate([beats, middles]))
    as_it_is, shifted = _f(true_ms, beats), _f(true_ms, middles)
    other_octave = max(_f(true_ms, other) for other in (doubled, beats[::2], beats[1::2]))
    best = max(as_it_is, shifted, other_octave)
    right = {"beat": best >= _RIGHT}
    if right["beat"]:
        right["octave"] = other_octave < max(as_it_is, shifted)
    if right.get("octave"):
        right["phase"] = as_it_is >= shifted
    return right


def _metre_right(metre: int | None, true: Doubles) -> dict[str, bool]:
    bars_of = np.diff(np.flatnonzero(true[:, 1] == 1))
    return {"metre": metre == int(np.median(bars_of))} if len(bars_of) > 2 else {}


def _f(true_ms: Doubles, beats_ms: Doubles) -> float:
    return f_measure(true_ms.tolist(), beats_ms.tolist())


def fitted(rows: Doubles, right: Doubles) -> Doubles:
    """Return the weights of a ridge logistic regression, by Newton's method."""
    weights = np.zeros(rows.shape[1])
    penalty = np.where(np.all(rows == 1.0, axis=0), 0.0, _PENALTY)
    for _ in range(50):
        probability = 1.0 / (1.0 + np.exp(-rows @ weights))
        gradient = rows.T @ (right - probability) - penalty * weights
        curvature = (rows.T * (probability * (1.0 - probability))) @ rows + np.diag(penalty)
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def left_out(rows: Doubles, right: Doubles, fit: Callable[[Doubles, Doubles], Doubles]) -> Doubles:
    """Return each song's confidence by the weights of all others."""
    others = ~np.eye(len(rows), dtype=bool)
    return np.array(
        [
            1.0 / (1.0 + np.exp(-row @ fit(rows[rest], right[rest])))
            for row, rest in zip(rows, others, strict=True)
        ]
    )


def _mirrored(rows: Doubles, right: Doubles) -> tuple[Doubles, Doubles]:
    """Add to each phase that is right the same one shifted by half a beat, which is wrong."""
    return np.concatenate([rows, -rows]), np.concatenate([right, 1.0 - right])


def report(name: str, songs: list[tuple[tuple[float, ...], bool]]) -> None:
    """Print the weights of a confidence and its reliability."""
    rows, right = np.array([row for row, _ in songs]), np.array([float(ok) for _, ok in songs])
    fit = (lambda *those: fitted(*_mirrored(*those))) if name == "phase" else fitted
    weights = fit(rows, right)
    print(f"\n{name}: {right.mean():.2f} right of {len(right)}, weights {np.round(weights, 2).tolist()}")
    sure = np.clip(left_out(rows, right, fit), 0.02, 0.98)
    print("| confidence | songs | mean confidence | right |\n|---|---|---|---|")
    for low, high in pairwise(_EDGES):
        inside = (sure > low) & (sure <= high)
        if inside.any():
            count, mean, share = inside.sum(), sure[inside].mean(), right[inside].mean()
            print(f"| {low:.2f} to {high:.2f} | {count} | {mean:.2f} | {share:.2f} |")
    print(f"Brier score {np.mean((sure - right) ** 2):.3f}, of the mean alone {right.var():.3f}")


def main(folder: Path) -> None:
    songs: dict[str, list[tuple[tuple[float, ...], bool]]] = {}
    for beats in sorted(folder.glob("*.beats")):
        audio = next(path for path in sorted(folder.glob(f"{beats.stem}.*")) if path.suffix != ".beats")
        for name, song in labelled(audio, np.loadtxt(beats, ndmin=2)).items():
            songs.setdefault(name, []).append(song)
    for name, of_it in songs.items():
        report(name, of_it)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
