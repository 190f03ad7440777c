"""The log itself, asked what happened: a stream's events, its state then, and what changed in between.

Reads the event store and no view, so an answer is never behind and never rebuilt.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.errors import NotFound
from domain.events import REGISTRY
from domain.log import EventStore, Page
from domain.recorded import Recorded
from domain.track.state import INITIAL, Track, evolve

TRACK = "track"
"""The category of the streams read here: an id alone does not tell whose stream it is."""


@dataclass(frozen=True, slots=True)
class Then:
    """A track as it was after `revision`, whose event is `last`."""

    state: Track
    revision: int
    last: Recorded


@dataclass(frozen=True, slots=True)
class Changed:
    """One difference between two states; None stands for what is not there."""

    path: str
    old: Any
    new: Any


async def track_at(
    store: EventStore, track_id: UUID, revision: int | None = None, at: datetime | None = None
) -> Then:
    """Return the track as it was at a revision, at a time, or is now.

    Raises NotFound when it had no such revision, or was not there yet.
    """
    state, last = INITIAL, None
    async for recorded in _events(store, track_id, revision):
        # recorded_at never goes back, so the events up to a time are a prefix.
        if at is not None and recorded.recorded_at > at:
            break
        if recorded.category != TRACK:
            break
        state, last = evolve(state, REGISTRY.decode(recorded)), recorded
    if last is None:
        raise NotFound(
            f"there is no track {track_id}" if at is None else f"track {track_id} did not exist at {at}"
        )
    if revision is not None and last.revision < revision:
        raise NotFound(f"the track is at revision {last.revision}: it has no revision {revision} yet")
    return Then(state, last.revision, last)


async def track_diff(store: EventStore, track_id: UUID, old: int, new: int) -> tuple[Changed, ...]:
    """Return what differs between two revisions of a track; revision 0 is before its upload.

    Raises NotFound for a track or a revision that is not there.
    """
    states = [(await track_at(store, track_id, r)).state if r else None for r in (old, new)]
    before, after = (flattened(state_json(state)) if state else {} for state in states)
    paths = [*before, *(path for path in after if path not in before)]
    return tuple(
        Changed(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )


async def track_events(store: EventStore, track_id: UUID, after: int, limit: int) -> Page:
    """Return a page of a track's events. Raises NotFound for a stream that is not a track's."""
    events = await store.read_stream(track_id, after, limit=limit)
    first = events or await store.read_stream(track_id, limit=1)
    if not first or first[0].category != TRACK:
        raise NotFound(f"there is no track {track_id}")
    return events


def state_json(state: Track) -> dict[str, Any]:
    """Return a state as JSON data; `type` names which of the states it is."""
    json: dict[str, Any] = msgspec.to_builtins(state)
    return json


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of JSON data by path. A list of numbers is one leaf: a grid moves as a whole."""
    if isinstance(value, Mapping) and value:
        parts = ((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str) and value and not _numbers(value):
        parts = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        return {path: _compact(value)}
    return {leaf: item for part, inner in parts for leaf, item in flattened(inner, part).items()}


def _numbers(value: Sequence[Any]) -> bool:
    return all(isinstance(item, float | int) for item in value)


def _compact(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return value
    digest = hashlib.sha256(msgspec.json.encode(value)).hexdigest()
    return {"count": len(value), "first": value[0], "last": value[-1], "sha256": digest}


async def _events(store: EventStore, stream: UUID, up_to: int | None) -> AsyncIterator[Recorded]:
    after = 0
    while page := await store.read_stream(stream, after, up_to):
        for recorded in page:
            yield recorded
        after = page[-1].revision
