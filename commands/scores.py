"""What a version's grid is scored against, and the figures that come of it.

In this order: reference beats a user gave; else a human override, against which the *machine's* grid is
scored, never the override itself; else the agreement of independent trackers, labelled as such.
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

Grid = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """A grid, and the user's beats it is scored against; both in ms."""

    scored: Grid
    kind: str
    truth: Grid
    sha256: str | None = None


def basis(state: Track, command: c.TrackCommand, grid: Grid) -> Basis | None:
    """Return what the figures of the version with this grid rest on; None: on the trackers' agreement."""
    reference = _reference(state, command)
    if reference is not None:
        return Basis(grid, reference.kind, reference.beats_ms, reference.sha256)
    match command, state:
        case c.ApplyBeatOverride(), Ready():
            return Basis(state.machine.beats_ms, "override", grid)
        case c.CompleteAnalysis(), Ready() if state.current.overridden:
            return Basis(grid, "override", state.current.beats_ms)
        case _:
            return None


def _reference(state: Track, command: c.TrackCommand) -> Reference | None:
    if isinstance(command, c.UploadReference):
        return Reference(command.kind, command.sha256, command.reference_ms)
    return state.reference if isinstance(state, Ready) else None


def figures(duration_ms: float, grid: Grid, basis: Basis | None, agreement: Agreement | None) -> e.Metrics:
    """Return the figures of the version with this grid; null where there is too little to compare.

    `agreement` is the trackers' on this grid, and used only without a basis.
    """
    if basis is None:
        return _agreed(duration_ms, grid, agreement)
    scores = compare(basis.truth, basis.scored)
    return e.Metrics(
        duration_ms=duration_ms,
        bpm=tempo_of(grid),
        f_measure=round(scores.f_measure, 4) if scores else None,
        cemgil=round(scores.cemgil, 4) if scores else None,
        basis="user-reference",
        reference=e.MetricsReference(basis.kind, None, len(basis.truth), basis.sha256),
    )


def _agreed(duration_ms: float, grid: Grid, agreement: Agreement | None) -> e.Metrics:
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
    """Return the warnings of a grid together with what there is to say of its figures.

    The analysis itself warns where its trackers cannot agree; an earlier comparison says nothing of this one.
    """
    kept = tuple(warning for warning in warnings if warning != TOO_FEW_TO_SCORE)
    unscored = metrics.basis == "user-reference" and metrics.f_measure is None
    return (*kept, TOO_FEW_TO_SCORE) if unscored else kept


def global_metrics(metrics: e.Metrics) -> GlobalMetrics:
    """Return the figures as the Genesis Map words them."""
    reference = metrics.reference and MetricsReference(**msgspec.structs.asdict(metrics.reference))
    return GlobalMetrics(
        duration_ms=metrics.duration_ms,
        bpm=metrics.bpm,
        f_measure=metrics.f_measure,
        cemgil=metrics.cemgil,
        metrics_basis=metrics.basis,
        metrics_reference=reference,
    )
