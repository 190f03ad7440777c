"""How far to believe a grid: its beats, its octave, its phase and its metre apart, and what else it could be.

Each confidence is a logistic function of a few figures. `bench/confidence.py` fits the weights to annotated
recordings and prints how often each confidence was right (docs/benchmarks-analysis.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.beats import smoothed
from analysis.cues import Cues
from analysis.cuts import kick_contrast
from analysis.downbeats import Bars
from analysis.metrics import cemgil
from analysis.passages import Passage
from analysis.refit import strength
from analysis.tempo import Doubles, Prior, Tempogram
from analysis.tracker import to_frames

_EXPECTED = Prior(120, 1.2)
_FAINT_KICK = 0.5  # bass on the off-beat makes as much of a difference
_WEIGHTS: dict[str, tuple[float, ...]] = {
    "beat": (2.19, 3.69),
    "octave": (2.37, -1.93),
    "phase": (1.05, 3.64, 4.91),
    "metre": (3.37, 1.50),
}


@dataclass(frozen=True, slots=True)
class Octave:
    """The likelier of double and half the tempo: its edit, and its score over that of the grid's own."""

    edit: Literal["double", "halve"]
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a grid.

    `confirmed` (0..1) is how well the second grids match it or the grid half a beat off, `votes` (-1..1) for
    which of the two they are. `kick` and `onsets` say how much louder the kick is, if it clearly is, and how
    much more begins on the beat than half a beat off.
    """

    bpm: float
    confirmed: float
    votes: float
    kick: float
    onsets: float
    octave: Octave


def evidence(grids: Sequence[Doubles], heard_in: Sequence[Passage], seconds: Sequence[Doubles]) -> Evidence:
    """Gather what speaks for the grids (ms) of the passages; most of it from the longest."""
    whole, number = np.concatenate(grids), int(np.argmax([len(grid) for grid in grids]))
    cues, start = heard_in[number].cues, heard_in[number].frames.start
    frames = to_frames(grids[number]) - start
    same, shifted = _closeness(whole, seconds), _closeness(_middles(whole), seconds)
    curve = smoothed(cues.onsets, float(np.median(np.diff(frames))))
    on, off = strength(frames, curve), strength(_middles(frames), curve)
    kick = kick_contrast(frames, cues.kick)
    bpm = 60_000.0 / float(np.median(np.diff(whole)))
    return Evidence(
        bpm=bpm,
        confirmed=float(np.maximum(same, shifted).mean()),
        votes=float((same - shifted).mean()),
        kick=float(np.sign(kick) * max(abs(kick) - _FAINT_KICK, 0.0)),
        onsets=float(np.log((on + 0.1) / (off + 0.1))),
        octave=_octave(bpm, cues),
    )


def _middles(beats: Doubles) -> Doubles:
    return (beats[:-1] + beats[1:]) / 2


def _closeness(beats_ms: Doubles, seconds: Sequence[Doubles]) -> Doubles:
    return np.array([cemgil(beats_ms.tolist(), second.tolist()) for second in seconds])


def figures(found: Evidence, lead: float) -> dict[str, tuple[float, ...]]:
    """Return the figures of each confidence; `lead` is the metre's over the next best (analysis.downbeats).

    The phase has no constant: what speaks for one phase speaks against the other.
    """
    return {
        "beat": (1.0, found.confirmed - 0.8),
        "octave": (1.0, found.octave.score - 0.7),
        "phase": (found.votes, found.kick, found.onsets),
        "metre": (1.0, lead - 1.5),
    }


def trust(found: Evidence, bars: Bars) -> dict[str, Any]:
    """Return `confidence` and `alternatives` of the rhythm layer (see map_document), as JSON-ready data."""
    sure = {of: _probability(_WEIGHTS[of], of_it) for of, of_it in figures(found, bars.lead).items()}
    other_tempo = found.bpm * (2.0 if found.octave.edit == "double" else 0.5)
    others = [
        ("shift_half_beat", found.bpm, 1.0 - sure["phase"]),
        (found.octave.edit, other_tempo, 1.0 - sure["octave"]),
    ]
    return {
        "confidence": sure,
        "alternatives": [
            {"edit": edit, "bpm": round(bpm, 2), "confidence": round(likely, 2)}
            for edit, bpm, likely in sorted(others, key=lambda other: -other[2])
        ],
    }


def _octave(bpm: float, cues: Cues) -> Octave:
    """Compare the tempogram, weighed by the tempo listeners expect, at half and at double the tempo."""
    scores = Tempogram(cues.onsets, _EXPECTED).mean_scores() * _EXPECTED.weights()
    octaves = np.log2(_EXPECTED.tempi())

    def score(tempo: float) -> float:
        return float(np.interp(np.log2(tempo), octaves, scores, left=0.0, right=0.0))

    halved, doubled = score(bpm / 2.0), score(bpm * 2.0)
    most = min(max(halved, doubled) / max(score(bpm), 1e-9), 2.0)
    return Octave("double" if doubled > halved else "halve", most)


def _probability(weights: Sequence[float], figures: Sequence[float]) -> float:
    """Return the logistic function of a weighted sum, kept off 0 and 1: fifty songs prove neither."""
    odds = float(np.dot(weights, figures))
    return round(float(np.clip(1.0 / (1.0 + np.exp(-odds)), 0.02, 0.98)), 2)
