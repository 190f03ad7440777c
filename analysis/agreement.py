"""Agreement: how far two second, independent grids confirm the first when nobody has given a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.metrics import FEWEST_BEATS, Scores, compare
from analysis.onset import normalised, superflux
from analysis.passages import Passage
from analysis.result import Agreement
from analysis.spectrum import Floats
from analysis.tempo import Doubles, Prior
from analysis.tracker import Tuning, to_ms, track_with

ENGINES = ("superflux-median", "aubio-kl")
_TIGHTNESS = 400.0


def second_grids(beats_ms: Doubles, heard_in: Sequence[Passage], mel: Floats, kl: Floats) -> list[Doubles]:
    """Return the grids (ms) by two other onset functions; none for a grid of less than eight beats.

    They expect the first grid's tempo, so all of them share an octave error. `kl` is aubio's onset function
    of that name.
    """
    if len(beats_ms) < FEWEST_BEATS:
        return []
    tuning = Tuning(_expected(60_000.0 / float(np.median(np.diff(beats_ms)))), _TIGHTNESS)
    curves: tuple[Callable[[slice], Floats], ...] = (
        lambda frames: superflux(mel[frames]),
        lambda frames: normalised(kl[frames]),
    )
    return [_within(_grid(heard_in, curve, tuning), beats_ms) for curve in curves]


def agreement(beats_ms: Doubles, seconds: Sequence[Doubles]) -> Agreement | None:
    """Return the mean F-measure and Cemgil with both second grids; None if a grid has too few beats.

    This is agreement, not accuracy.
    """
    scores = [compare(second.tolist(), beats_ms.tolist()) for second in seconds]
    return _mean([s for s in scores if s is not None], [len(second) for second in seconds])


def _grid(heard_in: Sequence[Passage], curve: Callable[[slice], Floats], tuning: Tuning) -> Doubles:
    """Return the beats (ms) of all passages by another onset function."""
    return np.concatenate(
        [to_ms(p.frames.start + track_with(p.cues.hearing(curve(p.frames)), tuning)) for p in heard_in]
    )


def _expected(bpm: float) -> Prior:
    """Expect this tempo; where a hint led beyond what is tried by default, an octave around it is."""
    usual = Prior(bpm, 1.0)
    return usual if usual.lowest <= bpm <= usual.highest else Prior(bpm, 1.0, bpm / 2.0, bpm * 2.0)


def _within(second_ms: Doubles, first_ms: Doubles) -> Doubles:
    """Cut a second grid to the span of the first, half a beat more on either side."""
    half = 0.5 * float(np.median(np.diff(first_ms)))
    return second_ms[(second_ms > first_ms[0] - half) & (second_ms < first_ms[-1] + half)]


def _mean(scores: list[Scores], beats: list[int]) -> Agreement | None:
    if len(scores) < len(ENGINES):
        return None
    return Agreement(
        f_measure=round(float(np.mean([s.f_measure for s in scores])), 4),
        cemgil=round(float(np.mean([s.cemgil for s in scores])), 4),
        engines=ENGINES,
        beats=sum(beats),
    )
