"""A read side over a test's database: the document store with its indexes, and what stands around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol
from uuid import UUID

import msgspec

from adapters.postgres.document_indexes import index_statements
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.migrate import migrate
from domain import ids
from domain.events import REGISTRY
from domain.log import EventStore, Slice
from domain.registry import Event
from projections.documents import DocumentStore, Generation, Sort, Stored
from projections.progress import Progress
from projections.queries import Views
from projections.rebuild import rebuild
from projections.supervisor import Projections
from projections.view import View
from projections.views import VIEWS
from tests.servers.ledgers import Ledger, open_ledger, told_by
from tests.unit.projections.histories import history, track_id


class Connections(Protocol):
    """The two roles a test's database is reached by."""

    @property
    def owner(self) -> str: ...
    @property
    def serving(self) -> str: ...


@dataclass(frozen=True)
class ReadSide:
    """One process's read side, and the event store it reads."""

    ledger: Ledger
    store: PostgresDocuments
    progress: Progress
    views: Views
    projections: Projections

    @property
    def events(self) -> EventStore:
        return self.ledger.store

    async def build(self, view: View) -> Generation:
        return await rebuild(view, self.store, self.ledger.log, self.events, REGISTRY, self.progress)


def make_indexes(access: Connections, views: Sequence[View] = VIEWS) -> None:
    migrate(access.owner, index_statements(views))


@asynccontextmanager
async def open_read_side(access: Connections, views: Sequence[View] = VIEWS) -> AsyncGenerator[ReadSide]:
    """Give a read side that follows nothing yet: `running` starts it."""
    make_indexes(access, views)
    async with open_ledger(access.serving) as ledger:
        store, progress = PostgresDocuments(ledger.pool), Progress()
        yield ReadSide(
            ledger,
            store,
            progress,
            Views(store, views, ledger.store, progress),
            Projections(views, store, ledger.log, ledger.store, REGISTRY, progress),
        )


@asynccontextmanager
async def running(side: ReadSide) -> AsyncGenerator[None]:
    """Run the projections around a block."""
    task = asyncio.create_task(side.projections.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def tell(events: EventStore, track: UUID, new: Sequence[Event], after: int = 0) -> int:
    """Append events to a track's stream; returns the last one's position."""
    packed = tuple(REGISTRY.encode(event, ids.job_id(track, after + n)) for n, event in enumerate(new))
    return (await events.append([Slice(track, after, "track", str(track), packed)], told_by())).position


async def tell_stories(events: EventStore, seed: int, tracks: int, length: int = 12) -> list[UUID]:
    """Append that many tracks' histories, their events mixed; returns the tracks."""
    random = Random(seed)
    stories = {track: history(random, track, length) for track in [track_id(random) for _ in range(tracks)]}
    told = dict.fromkeys(stories, 0)
    while open_ := [track for track in stories if told[track] < len(stories[track])]:
        track = random.choice(open_)
        some = stories[track][told[track] :][: random.randint(1, 4)]
        await tell(events, track, some, told[track])
        told[track] += len(some)
    return list(stories)


async def snapshot(store: DocumentStore, generation: Generation) -> dict[str, bytes]:
    """Return canonical JSON by id of all that is listed, read in pages, in both directions of the order."""
    pages: dict[bool, dict[str, bytes]] = {}
    for descending in (False, True):
        seen: dict[str, bytes] = {}
        place = None
        while found := await store.find(generation, (), Sort("created_at", "text", descending), place, 100):
            seen |= {f.place.id: msgspec.json.encode(f.body, order="sorted") for f in found}
            place = found[-1].place
        pages[descending] = seen
    assert pages[False] == pages[True]
    return pages[False]


async def stored(side: ReadSide, view: str, stream: UUID) -> Stored:
    """Return the serving generation's document of a stream, with what readers are not shown."""
    standing = await side.store.standing(view)
    assert standing is not None
    return (await side.store.get_many(standing.generation, [str(stream)]))[str(stream)]


async def until(true: Callable[[], Awaitable[bool]], deadline_s: float = 10.0) -> None:
    """Wait until it holds. Raises AssertionError at the deadline."""
    end = time.monotonic() + deadline_s
    while not await true():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.005)


async def caught_up(side: ReadSide, views: Sequence[View] = VIEWS) -> None:
    """Wait until the serving generation of every view has reached the log's end."""

    async def reached() -> bool:
        return all(s.generation and s.lag_events == 0 for s in await side.views.status())

    assert views
    await until(reached)
