"""Tracks with a long past, written straight into the store: for loading, not for deciding."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

from domain.events import REGISTRY
from domain.log import EventStore, Metadata, Slice
from domain.registry import Event
from domain.track import events as e
from tests.unit.domain import tracks as t

_TOLD = Metadata("user:bench", UUID(int=1), None, UUID(int=1))
_AT_ONCE = 1_000


def history(length: int) -> list[Event]:
    """A track that was analysed once and then renamed over and over."""
    begun: list[Event] = [t.uploaded(), t.queued(), t.started(), t.completed()]
    return [*begun, *(e.TrackDescribed(title=f"title {n}") for n in range(5, length + 1))]


async def write_track(store: EventStore, length: int) -> UUID:
    """Append a track of so many events and return its stream."""
    stream = uuid7()
    await lengthen(store, stream, 0, length)
    return stream


async def lengthen(store: EventStore, stream: UUID, length: int, by: int) -> None:
    """Append the next `by` events to a track of `length`."""
    events = history(length + by)
    for at in range(length, length + by, _AT_ONCE):
        some = events[at : at + _AT_ONCE]
        encoded = tuple(REGISTRY.encode(event, uuid7()) for event in some)
        await store.append([Slice(stream, at, "track", str(stream), encoded)], _TOLD)
