"""The status of each view, for readiness, metrics and operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.lag import lag
from domain.log import EventStore
from projections.documents import DocumentStore
from projections.view import View


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view: `generation` 0 = none serves yet; `building` is an unfinished one.

    `lag_events` and `lag_s` are those of `domain.lag.Lag`. `parked` counts streams.
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
    """Return the status of each view. Raises Unavailable."""
    return tuple([await _status(store, view, events) for view in views])


async def _status(store: DocumentStore, view: View, events: EventStore) -> ViewStatus:
    building = [g.number for g in await store.generations(view.name) if g.state in ("building", "following")]
    standing = await store.standing(view.name)
    watermarks = standing.watermarks if standing else {}
    behind = await lag(events, view.categories, watermarks.values(), datetime.now(UTC))
    return ViewStatus(
        view=view.name,
        version=standing.generation.version if standing else view.version,
        generation=standing.generation.number if standing else 0,
        building=building[-1] if building else None,
        watermarks=watermarks,
        lag_events=behind.events,
        lag_s=behind.seconds,
        parked=len(await store.parked(standing.generation)) if standing else 0,
    )
