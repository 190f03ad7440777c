"""Projection catch-up: our projector against the library's ProjectionRunner, and against reading alone.

`python -m bench.catchup` prints the table "Catch-up" of docs/benchmarks.md: the view track_list, on the same
server and the same log, folded by the same function. The runner writes the library's own way: one event a
transaction, with its tracking record, into a table of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import uvloop
from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Mapper, StoredEvent, Tracking
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL

from adapters.postgres.access import Access
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.tail import PostgresLog
from bench.read_models import database, fill, process
from domain.events import REGISTRY
from domain.recorded import Recorded
from projections.documents import Generation, Stored
from projections.fold import fold
from projections.named_tasks import end
from projections.progress import Progress
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.track_list import TRACK_LIST

TRACKS = 2_000
ROUNDS = 3
RUNNER_SECONDS = 3.0
FOLLOWING = "our projector, following"


def main() -> None:
    """Print events a second, medians of rounds in turn, and what ours is to the others."""
    rates: dict[str, list[float]] = {}
    with database() as access:
        uvloop.run(_fill(access))
        for round_ in range(ROUNDS):
            measured = uvloop.run(_ours(access, round_))
            measured["reading the rows alone (psycopg)"] = _raw_read(access)
            measured["library's ProjectionRunner"] = _runner(access)
            for name, rate in measured.items():
                rates.setdefault(name, []).append(rate)
    medians = {name: statistics.median(measured) for name, measured in rates.items()}
    print("| what | events /s | projector / this |\n|---|---|---|")
    for name, rate in medians.items():
        print(f"| {name} | {rate:,.0f} | {medians[FOLLOWING] / rate:.2f} |")


async def _fill(access: Access) -> None:
    async with process(access) as (events, _, _):
        await fill(events, TRACKS)


async def _ours(access: Access, round_: int) -> dict[str, float]:
    async with process(access) as (events, log, pool):
        store, count = PostgresDocuments(pool), await events.head()
        generation = await store.begin(TRACK_LIST.name, -1 - round_)
        await log.start_group(generation.group, {"0": 0})
        following = await _seconds(_follow(generation, store, log, count))
        assert await store.count(generation, ()) == TRACKS
        turns = asyncio.Semaphore(1)
        rebuilding = await _seconds(rebuild(TRACK_LIST, store, log, events, REGISTRY, Progress(), turns))
        reading = await _seconds(_read(events))
    return {
        FOLLOWING: count / following,
        "rebuild, from nothing to serving": count / rebuilding,
        "reading the log alone (read_log)": count / reading,
    }


async def _seconds(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _follow(generation: Generation, store: PostgresDocuments, log: PostgresLog, count: int) -> None:
    progress = Progress()
    task = asyncio.create_task(Projector(TRACK_LIST, generation, store, REGISTRY, progress).run(log))
    while (await store.watermarks(generation)).get("0", 0) < count:
        await progress.next(TRACK_LIST.name)
    await end([task])


async def _read(events: PostgresEventStore) -> None:
    position = 0
    while page := await events.read_log(position, 500, categories=TRACK_LIST.categories):
        position = page[-1].position


def _raw_read(access: Access) -> float:
    with psycopg.connect(access.serving) as connection:
        began = time.perf_counter()
        position = 0
        while True:
            rows = connection.execute(
                "SELECT * FROM stored_events WHERE notification_id > %s ORDER BY notification_id LIMIT 500",
                [position],
                binary=True,
            ).fetchall()
            if not rows:
                return position / (time.perf_counter() - began)
            position = rows[-1][2]


_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class AsRecorded(Mapper[Any]):
    """Gives the library's projection our log's events as our own projector sees them."""

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        stream, topic = stored_event.originator_id, stored_event.topic
        version, data = REGISTRY.types[topic].version, msgspec.json.decode(stored_event.state)
        position, revision = stored_event.id, stored_event.originator_version
        # fmt: off
        return Recorded(
            position, stream, revision, "track", str(stream), stream, topic, version, data, _EPOCH,
            "", stream, None, stream, None,
        )
        # fmt: on


class Ledger(Application[Any]):
    """The library's application over our table of events."""

    def construct_mapper(self) -> Mapper[Any]:
        return self.factory.mapper(transcoder=self.construct_transcoder(), mapper_class=AsRecorded)

    def construct_recorder(self) -> ApplicationRecorder:
        return PostgresApplicationRecorder(self.factory.datastore, events_table_name="stored_events")


class Rows(PostgresTrackingRecorder):
    """Writes the view's rows into the same table, each with its tracking record in one transaction."""

    def project(self, recorded: Recorded, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_READ, [str(recorded.stream)])
            row = cursor.fetchone()
            before = Stored(str(recorded.stream), row["seen"], row["body"]) if row else None
            (change,) = fold(TRACK_LIST, REGISTRY, {before.id: before} if before else {}, [recorded]).changes
            assert change.after.parked is None
            body = msgspec.json.encode(change.after.body).decode()
            cursor.execute(_WRITE, [change.after.id, change.after.seen, change.after.seen, body])
            self._insert_tracking(cursor, tracking)


_READ = SQL("SELECT seen, body FROM documents WHERE view = 'track_list' AND generation = -1 AND id = %s")
_WRITE = SQL("""
    INSERT INTO documents (view, generation, id, seen, handled, listed, body)
    VALUES ('track_list', -1, %s, %s, %s, true, %s::jsonb)
    ON CONFLICT (view, generation, id)
    DO UPDATE SET seen = excluded.seen, handled = excluded.handled, body = excluded.body
""")


class TrackList(Projection[Rows]):
    """The same fold as a projection of the library's."""

    name = "track_list"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.project(domain_event, tracking)


def _runner(access: Access) -> float:
    at = conninfo_to_dict(access.superuser)
    keys = {"dbname": "DBNAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    env = {f"POSTGRES_{name}": str(at[key]) for key, name in keys.items()}
    env |= {"PERSISTENCE_MODULE": "eventsourcing.postgres"}
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Ledger, projection_class=TrackList, view_class=Rows, env=env
    ) as runner:
        before = runner.view.max_tracking_id(runner.app_name) or 0
        runner.run_forever(timeout=RUNNER_SECONDS)
        done = (runner.view.max_tracking_id(runner.app_name) or 0) - before
        assert done, "the runner ran"
        return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
