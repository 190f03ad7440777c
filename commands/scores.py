"""Scores a version's grid.

The grid is compared with reference beats if a user gave any; else, with an override in place, the *machine's*
grid is compared with the override, never the override itself; else the score is the agreement of independent
trackers, and is labelled so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from analysis.map_document import GlobalMetrics, MetricsReference
from analysis.metrics import FEWEST_BEATS, compare
from analysis.result import Agreement
from analysis.rhythm import tempo_of
from domain.track import commands as c
from domain.track import events as e
from domain.track.state import Ready, Reference, Track

TOO_FEW_TO_SCORE = f"fewer than {FEWEST_BEATS} beats to compare: no metrics"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A grid, and the user's beats that it is scored against; both in ms."""

    scored: tuple[float, ...]
    kind: str
    truth: tuple[float, ...]
    sha256: str | None = None


def comparison(state: Track, command: c.OnTrack, grid: tuple[float, ...]) -> Comparison | None:
    """Return the comparison that scores this grid; None if the trackers' agreement scores it."""
    reference = _reference(state, command)
    if reference is not None:
        return Comparison(grid, reference.kind, reference.beats_ms, reference.sha256)
    match command, state:
        case c.ApplyBeatOverride(), Ready():
            return Comparison(state.machine.beats_ms, "override", grid)
        case c.CompleteAnalysis(), Ready() if state.current.overridden:
            return Comparison(grid, "override", state.current.beats_ms)
        case _:
            return None


def _reference(state: Track, command: c.OnTrack) -> Reference | None:
    if isinstance(command, c.UploadReference):
        return Reference(command.kind, command.sha256, command.reference_ms)
    return state.reference if isinstance(state, Ready) else None


def figures(
    duration_ms: float,
    grid: tuple[float, ...],
    comparison: Comparison | None,
    agreement: Agreement | None,
) -> e.Metrics:
    """Return the metrics of the version with this grid; null where there are too few beats to compare.

    `agreement` is that of the trackers on this grid, and is used only without a comparison.
    """
    if comparison is None:
        return _agreed(duration_ms, grid, agreement)
    scores = compare(comparison.truth, comparison.scored)
    return e.Metrics(
        duration_ms=duration_ms,
        bpm=tempo_of(grid),
        f_measure=round(scores.f_measure, 4) if scores else None,
        cemgil=round(scores.cemgil, 4) if scores else None,
        basis="user-reference",
        reference=e.MetricsReference(comparison.kind, None, len(comparison.truth), comparison.sha256),
    )


def _agreed(duration_ms: float, grid: tuple[float, ...], agreement: Agreement | None) -> e.Metrics:
    reference = agreement and e.MetricsReference("agreement", "+".join(agreement.engines), agreement.beats)
    return e.Metrics(
        duration_ms=duration_ms,
        bpm=tempo_of(grid),
        f_measure=agreement.f_measure if agreement else None,
        cemgil=agreement.cemgil if agreement else None,
        basis="self-agreement",
        reference=reference,
    )


def warnings_with(metrics: e.Metrics, warnings: Iterable[str]) -> tuple[str, ...]:
    """Return the warnings of a grid, with a warning if its metrics could not be computed.

    The analysis itself warns where its trackers cannot agree. A warning of an earlier comparison is dropped.
    """
    kept = tuple(warning for warning in warnings if warning != TOO_FEW_TO_SCORE)
    unscored = metrics.basis == "user-reference" and metrics.f_measure is None
    return (*kept, TOO_FEW_TO_SCORE) if unscored else kept


def global_metrics(metrics: e.Metrics) -> GlobalMetrics:
    """Return the metrics in the form of the Genesis Map."""
    reference = metrics.reference and MetricsReference(**msgspec.structs.asdict(metrics.reference))
    return GlobalMetrics(
        duration_ms=metrics.duration_ms,
        bpm=metrics.bpm,
        f_measure=metrics.f_measure,
        cemgil=metrics.cemgil,
        metrics_basis=metrics.basis,
        metrics_reference=reference,
    )
