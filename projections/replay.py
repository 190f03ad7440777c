"""Heals parked streams: folds the waiting events once the cause is fixed, and unparks the stream.

It may race with the projector, which continues to skip the stream. Both write by compare-and-set on the
folded and the parked revision, so the slower one sees the other's write and continues from it.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from domain.log import EventStore
from domain.registry import Registry
from projections.documents import Change, DocumentStore, Generation, Parked, Stored, Unwritable
from projections.fold import Folded, fold
from projections.view import View

PAGE = 500
"""Events folded between two writes."""

WAITING = "its replay was interrupted"
"""The error of a stream between two pages of its replay."""


async def replay(
    view: View,
    generation: Generation,
    stream: UUID,
    store: DocumentStore,
    events: EventStore,
    registry: Registry,
) -> Parked | None:
    """Fold a parked stream from where it stopped; None = healed, else the error. Raises Unavailable."""
    while True:
        before = (await store.get_many(generation, [str(stream)])).get(str(stream))
        if before is None or before.parked is None:
            return None
        page = await events.read_stream(stream, before.seen, limit=PAGE)
        folded = fold(view, registry, {before.id: replace(before, parked=None)}, page)
        after = _after(before, before.parked, folded)
        try:
            lost = await store.write(generation, [Change(before, after)], folded.entries)
        except Unwritable as error:
            return replace(before.parked, error=str(error))
        if not lost and (after is before or after.parked is None or after.parked.error != WAITING):
            return after.parked


async def replay_all(
    view: View, store: DocumentStore, events: EventStore, registry: Registry
) -> dict[str, Parked | None]:
    """Replay every parked stream of the serving generation; return the result of each."""
    standing = await store.standing(view.name)
    if standing is None:
        return {}
    return {
        stored.id: await replay(view, standing.generation, UUID(stored.id), store, events, registry)
        for stored in await store.parked(standing.generation)
    }


def _after(before: Stored, parked: Parked, folded: Folded) -> Stored:
    """Return the document after a page; it stays parked until everything that was parked is folded."""
    if not folded.changes:
        return before
    after = folded.changes[0].after
    if after.parked:
        return replace(after, parked=replace(after.parked, up_to=max(after.parked.up_to, parked.up_to)))
    if after.seen < parked.up_to:
        return replace(after, parked=replace(parked, revision=after.seen + 1, error=WAITING))
    return after
