"""How far each view is: for readiness, metrics, and the operator who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.log import EventStore
from projections.documents import DocumentStore
from projections.view import View


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view: `generation` 0 = none serves yet; `building` names one on its way.

    `lag_events` counts events of the whole log not yet passed, `lag_s` is the age of the oldest among them
    that concerns the view. `parked` counts streams.
    """

    view: str
    version: int
    generation: int
    building: int | None
    watermarks: Mapping[str, int]
    lag_events: int
    lag_s: float
    parked: int


async def view_statuses(
    store: DocumentStore, views: Sequence[View], events: EventStore
) -> tuple[ViewStatus, ...]:
    """Return where each view stands. Raises Unavailable."""
    return tuple([await _status(store, view, events) for view in views])


async def _status(store: DocumentStore, view: View, events: EventStore) -> ViewStatus:
    building = [g.number for g in await store.generations(view.name) if g.state in ("building", "following")]
    standing = await store.standing(view.name)
    watermarks = standing.watermarks if standing else {}
    reached = min(watermarks.values(), default=0)
    return ViewStatus(
        view=view.name,
        version=standing.generation.version if standing else view.version,
        generation=standing.generation.number if standing else 0,
        building=building[-1] if building else None,
        watermarks=watermarks,
        lag_events=max(await events.head() - reached, 0),
        lag_s=await _lag_s(view, reached, events),
        parked=len(await store.parked(standing.generation)) if standing else 0,
    )


async def _lag_s(view: View, reached: int, events: EventStore) -> float:
    oldest = await events.read_log(reached, 1, categories=view.categories)
    return max((datetime.now(UTC) - oldest[0].recorded_at).total_seconds(), 0.0) if oldest else 0.0
