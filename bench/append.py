"""Appends: our group commit against the library's recorder and against raw inserts, side by side in one run.

`python -m bench.append` prints the table "Appends" of docs/benchmarks.md. Absolute numbers are the machine's;
read the ratios. Every run is durable (fsync on) with one event to an append. append_sync and append fill all
columns; insert_events, the door of the library's own Application, fills those that the library has.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.access import Access
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import make_pool
from adapters.postgres.recorder import LedgerRecorder
from adapters.postgres.roles import create_roles
from adapters.postgres.server import EmbeddedPostgres
from domain.log import Metadata, NewEvent, Slice

SECONDS = 1.0
ROUNDS = 5
PRODUCERS = 500
DATA = (
    b'{"title":"Gymnop\xc3\xa9die No. 1","artist":"Erik Satie","tags":["slow","piano"],"preset":"classical"}'
)


def main() -> None:
    """Print the table of appends a second."""
    with tempfile.TemporaryDirectory(prefix="beatledger-bench-") as path, _postgres(Path(path)) as postgres:
        ours, theirs = (_database(postgres, name) for name in ("ours", "theirs"))
        migrate(ours.owner)
        print("| what | writers | ours /s | reference | reference /s | ratio |")
        print("|---|---|---|---|---|---|")
        for writers in (1, 16, 40):
            _compare_with_library(ours, theirs, writers)
        _compare_with_raw(ours)


def _compare_with_library(ours: Access, theirs: Access, writers: int) -> None:
    queue = AppendQueue(ours.serving)
    store = PostgresEventStore(queue, make_pool(ours.serving))
    with _datastore(theirs.superuser, 10) as datastore, _datastore(ours.serving, 1) as serving:
        library = PostgresApplicationRecorder(datastore)
        library.create_table()
        ledger = LedgerRecorder(serving, queue=queue)
        doors: dict[str, Callable[[], object]] = {
            "append_sync": lambda: store.append_sync([_slice(uuid4())], _metadata()),
            "insert_events": lambda: ledger.insert_events([_stored()]),
            "library": lambda: library.insert_events([_stored()]),
        }
        rates: dict[str, list[float]] = {name: [] for name in doors}
        for _ in range(ROUNDS):
            for name, door in doors.items():
                rates[name].append(_threads(door, writers))
    queue.close()
    reference = statistics.median(rates.pop("library"))
    for name, measured in rates.items():
        _print(
            f"sync door, {name}", writers, statistics.median(measured), "library's insert_events", reference
        )


def _compare_with_raw(ours: Access) -> None:
    rates: list[float] = []
    raws: list[float] = []
    sizes: list[int] = []
    for _ in range(ROUNDS):
        rate, size = asyncio.run(_async_rate(ours.serving))
        rates.append(rate)
        sizes.append(round(size))
        raws.append(_raw_rate(ours.owner, sizes[-1]))
    reference = f"raw inserts of {min(sizes)}–{max(sizes)} rows, one connection"
    _print("async door, append", PRODUCERS, statistics.median(rates), reference, statistics.median(raws))


def _print(what: str, writers: int, rate: float, reference: str, reference_rate: float) -> None:
    ratio = rate / reference_rate
    print(f"| {what} | {writers} | {rate:,.0f} | {reference} | {reference_rate:,.0f} | {ratio:.2f} |")


def _threads(append: Callable[[], object], writers: int) -> float:
    """Return the appends a second of this many threads."""
    counts = [0] * writers
    end = time.perf_counter() + SECONDS

    def write(writer: int) -> None:
        while time.perf_counter() < end:
            append()
            counts[writer] += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


async def _async_rate(serving: str) -> tuple[float, float]:
    """Return the appends a second of many tasks, and the size of the batches they formed."""
    flushes: list[float] = []
    queue = AppendQueue(serving, lambda: flushes.append(time.perf_counter()))
    store = PostgresEventStore(queue, make_pool(serving))
    ready = [([_slice(uuid4())], _metadata()) for _ in range(20_000)]
    work = iter(ready)

    async def produce() -> None:
        for slices, metadata in work:
            await store.append(slices, metadata)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(PRODUCERS):
            group.create_task(produce())
    took = time.perf_counter() - began
    await asyncio.to_thread(queue.close)
    return len(ready) / took, len(ready) / len(flushes)


def _raw_rate(owner: str, batch: int) -> float:
    """Return the rows a second of plain inserts into the same table, the whole batch in one statement."""
    with psycopg.connect(owner, autocommit=True) as connection:
        head = connection.execute("SELECT coalesce(max(notification_id), 0) FROM stored_events").fetchone()
        assert head is not None
        rows = [_raw_row(position) for position in range(head[0] + 1, head[0] + 20_001)]
        batches = [rows[first : first + batch] for first in range(0, len(rows), batch)]
        began = time.perf_counter()
        for part in batches:
            columns = [list(column) for column in zip(*part, strict=True)]
            connection.execute(_RAW_INSERT, columns, prepare=True, binary=True)
        return len(rows) / (time.perf_counter() - began)


_RAW_INSERT = """
    INSERT INTO stored_events (
        originator_id, originator_version, notification_id, recorded_at, event_id, command_id, correlation_id,
        causation_id, schema_version, topic, category, partition_key, actor, traceparent, state
    )
    SELECT * FROM unnest(
        %s::uuid[], %s::int8[], %s::int8[], %s::timestamptz[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[],
        %s::int4[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[]
    )
"""


def _raw_row(position: int) -> tuple[Any, ...]:
    actor, correlation, causation, command, trace = astuple(_metadata())
    stream, now = uuid4(), datetime.now(UTC)
    # fmt: off
    return (
        stream, 1, position, now, uuid4(), command, correlation, causation, 1, "track.described", "track",
        str(stream), actor, trace, DATA,
    )
    # fmt: on


def _slice(stream: UUID) -> Slice:
    event = NewEvent(uuid4(), "track.described", 1, DATA)
    return Slice(stream, 0, "track", str(stream), (event,))


def _metadata() -> Metadata:
    command_id = uuid4()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    return Metadata("user:0190f3b2-6d4e-7d5a-9e5e-0d8f1c7a2b3c", command_id, uuid4(), command_id, trace)


def _stored() -> StoredEvent:
    return StoredEvent(uuid4(), 1, "track.described", DATA)


@contextmanager
def _postgres(path: Path) -> Generator[EmbeddedPostgres]:
    folder = DataFolder(path)
    with folder.hold():
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


def _database(postgres: EmbeddedPostgres, name: str) -> Access:
    access = postgres.access(name)
    create_roles(access)
    return access


def _datastore(conninfo: str, pool_size: int) -> PostgresDatastore:
    at = conninfo_to_dict(conninfo)
    names: Sequence[str] = [
        str(at.get(key, "5432")) for key in ("dbname", "host", "port", "user", "password")
    ]
    dbname, host, port, user, password = names
    return PostgresDatastore(dbname, host, port, user, password, pool_size=pool_size, max_overflow=30)


if __name__ == "__main__":
    main()
