"""Projection catch-up: our projector against the library's ProjectionRunner, and against reading alone.

`python -m bench.catchup` prints the table "Catch-up" of docs/benchmarks.md: the view track_list, on the same
server and the same log, folded by the same function. The runner writes the library's own way: one event a
transaction, with its tracking record, into a table of its own.
"""

from __future__ import annotations

import asyncio
import time
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
from bench.read_models import database, fill, process
from domain.events import REGISTRY
from domain.recorded import Recorded
from projections.documents import Stored
from projections.fold import fold
from projections.named_tasks import end
from projections.progress import Progress
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.track_list import TRACK_LIST

TRACKS = 2_000
RUNNER_SECONDS = 6.0


def main() -> None:
    """Print events a second, and what ours is to the others."""
    with database() as access:
        rates = uvloop.run(_ours(access))
        rates["library's ProjectionRunner"] = _runner(access)
    following, runner = rates["projector, following"], rates["library's ProjectionRunner"]
    print("| what | events /s | projector / this |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {following / rate:.2f} |")
    print(f"\nratio to the library's runner: {following / runner:.0f}x")


async def _ours(access: Access) -> dict[str, float]:
    async with process(access) as (events, log, pool):
        count, store, progress = await fill(events, TRACKS), PostgresDocuments(pool), Progress()
        began = time.perf_counter()
        first = await rebuild(TRACK_LIST, store, log, events, REGISTRY, progress)
        rebuilding = time.perf_counter() - began
        generation = await store.begin(TRACK_LIST.name, TRACK_LIST.version)
        assert generation != first
        await log.start_group(generation.group, {"0": 0})
        began = time.perf_counter()
        projector = Projector(TRACK_LIST, generation, store, REGISTRY, progress)
        task = asyncio.create_task(projector.run(log))
        while (await store.watermarks(generation)).get("0", 0) < count:
            await progress.next(TRACK_LIST.name)
        following = time.perf_counter() - began
        await end([task])
        assert await store.count(generation, ()) == TRACKS
        began = time.perf_counter()
        position = 0
        while page := await events.read_log(position, 500, categories=TRACK_LIST.categories):
            position = page[-1].position
        reading = time.perf_counter() - began
    return {
        "projector, following": count / following,
        "rebuild, from empty to serving": count / rebuilding,
        "reading the log alone (read_log)": count / reading,
        "reading the rows alone (psycopg)": count / _raw_read(access),
    }


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
                return time.perf_counter() - began
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
        runner.run_forever(timeout=RUNNER_SECONDS)
        done = runner.view.max_tracking_id(runner.app_name) or 0
        rate = done / (time.perf_counter() - began)
    assert done, "the runner ran"
    return rate


if __name__ == "__main__":
    main()
