"""The log itself, asked what happened: a stream's events, its state then, and what changed in between.

Reads the event store and no view, so an answer is never behind and never rebuilt.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from domain.decider import Decider
from domain.errors import NotFound
from domain.events import REGISTRY
from domain.log import EventStore, Page
from domain.recorded import Recorded

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Then(Generic[S]):
    """A stream's state as it was after `revision`, whose event is `last`."""

    state: S
    revision: int
    last: Recorded


@dataclass(frozen=True, slots=True)
class Changed:
    """One difference between two states; None stands for what is not there."""

    path: str
    old: Any
    new: Any


async def state_at(
    store: EventStore,
    decider: Decider[S],
    stream: UUID,
    revision: int | None = None,
    at: datetime | None = None,
) -> Then[S]:
    """Return a stream's state as it was at a revision, at a time, or is now.

    Raises NotFound when it had no such revision, was not there yet, or is of another category.
    """
    state, last = decider.initial, None
    async for recorded in _events(store, stream, revision):
        # recorded_at never goes back, so the events up to a time are a prefix.
        if at is not None and recorded.recorded_at > at:
            break
        if recorded.category != decider.category:
            break
        state, last = decider.evolve(state, REGISTRY.decode(recorded)), recorded
    if last is None:
        raise (
            _absent(decider, stream)
            if at is None
            else NotFound(f"{decider.category} {stream} did not exist at {at}")
        )
    if revision is not None and last.revision < revision:
        raise NotFound(
            f"the {decider.category} is at revision {last.revision}: it has no revision {revision} yet"
        )
    return Then(state, last.revision, last)


async def state_diff(
    store: EventStore, decider: Decider[Any], stream: UUID, old: int, new: int
) -> tuple[Changed, ...]:
    """Return the differences between two revisions of a stream; revision 0 is before its first event.

    Raises NotFound for a stream or a revision that is not there.
    """
    states = [(await state_at(store, decider, stream, r)).state if r else None for r in (old, new)]
    before, after = ({} if state is None else flattened(state_json(state)) for state in states)
    paths = [*before, *(path for path in after if path not in before)]
    return tuple(
        Changed(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )


async def stream_events(
    store: EventStore, decider: Decider[Any], stream: UUID, after: int, limit: int
) -> Page:
    """Return a page of a stream's events. Raises NotFound for a stream of another category."""
    events = await store.read_stream(stream, after, limit=limit)
    first = events or await store.read_stream(stream, limit=1)
    if not first or first[0].category != decider.category:
        raise _absent(decider, stream)
    return events


def state_json(state: Any) -> dict[str, Any]:
    """Return a state as JSON data; `type` names which of the states it is."""
    json: dict[str, Any] = msgspec.to_builtins(state)
    return json


def _absent(decider: Decider[Any], stream: UUID) -> NotFound:
    return NotFound(f"there is no {decider.category} {stream}")


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
