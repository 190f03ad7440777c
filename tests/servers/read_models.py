"""A read side over a test's database: the document store with its indexes, and what stands around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from adapters.mongo.documents import MongoDocuments
from adapters.mongo.server import MongoServer
from adapters.postgres.access import Access
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.migrate import migrate
from domain import ids
from domain.events import REGISTRY
from domain.log import EventStore, Slice
from domain.registry import Event
from projections.documents import DocumentStore, Generation, Sort, Stored
from projections.fold import fold
from projections.named_tasks import end
from projections.progress import Progress
from projections.queries import Views
from projections.rebuild import rebuild
from projections.supervisor import Projections
from projections.view import Document, View
from projections.views import VIEWS
from tests.servers.ledgers import Ledger, open_ledger, told_by, whole_log
from tests.servers.postgres import OwnPostgres, TestServer
from tests.unit.projections.histories import history, track_id


@dataclass(frozen=True)
class ReadSide:
    """One process's read side, and the event store it reads."""

    ledger: Ledger
    store: DocumentStore
    progress: Progress
    views: Views
    projections: Projections

    @property
    def events(self) -> EventStore:
        return self.ledger.store

    async def build(self, view: View, store: Any = None) -> Generation:
        """Rebuild a view as another process would, over this store or what stands in front of it."""
        turns = asyncio.Semaphore(1)
        return await rebuild(
            view, store or self.store, self.ledger.log, self.events, REGISTRY, self.progress, turns
        )


def make_indexes(access: Access | OwnPostgres, views: Sequence[View] = VIEWS) -> None:
    """Make the views' indexes, as `beatledger migrate` does."""
    migrate(access.owner, index_statements(views))


@contextmanager
def read_models(server: TestServer, views: Sequence[View] = VIEWS) -> Generator[Access]:
    """Give a migrated database with the views' indexes, to be emptied between tests: that takes no time."""
    with server.database() as access:
        make_indexes(access, views)
        yield access


def empty(access: Access) -> None:
    """Take all documents and generations away."""
    with psycopg.connect(access.owner, autocommit=True) as connection:
        connection.execute("TRUNCATE documents, view_generations, view_watermarks")


@asynccontextmanager
async def open_documents(
    ledger: Ledger, mongo_url: str | None = None, views: Sequence[View] = VIEWS
) -> AsyncGenerator[DocumentStore]:
    """Give the document store of a process: in the ledger's database, or in MongoDB."""
    if mongo_url is None:
        yield PostgresDocuments(ledger.pool)
        return
    server = MongoServer(mongo_url)
    try:
        yield MongoDocuments(server, views)
    finally:
        await server.close()


@asynccontextmanager
async def open_read_side(
    access: Access | OwnPostgres, views: Sequence[View] = VIEWS, mongo_url: str | None = None
) -> AsyncGenerator[ReadSide]:
    """Give a read side that follows nothing yet: `running` starts it. Its indexes are there."""
    async with (
        open_ledger(access.serving) as ledger,
        open_documents(ledger, mongo_url, views) as store,
    ):
        progress = Progress()
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
        await end([task])


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


async def until(true: Callable[[], Awaitable[bool]], deadline_s: float = 60.0) -> None:
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


async def reference(events: EventStore, view: View) -> dict[str, bytes]:
    """Return what `snapshot` must show: the whole log folded at once, with nothing in between."""
    folded = fold(view, REGISTRY, {}, await whole_log(events, categories=view.categories))
    documents = {c.after.id: c.after.body for c in folded.changes if c.after.listed}
    shown: dict[str, Document | None] = {**documents, **dict(folded.entries)}
    return {id: msgspec.json.encode(body, order="sorted") for id, body in shown.items()}


async def shows_the_log(side: ReadSide, views: Sequence[View] = VIEWS) -> None:
    """Assert that every view's serving generation is the fold of the log."""
    for view in views:
        standing = await side.store.standing(view.name)
        assert standing is not None
        expected = await reference(side.events, view)
        assert expected
        assert await snapshot(side.store, standing.generation) == expected
