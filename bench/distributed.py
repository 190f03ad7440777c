"""The distributed profile, end to end over a real Kafka: relay, catch-up, and from a command to its document.

`python -m bench.distributed` prints the tables of docs/benchmarks-distributed.md. Each role is a process of
its own, as in production, but the documents are JSONB in Postgres: no real MongoDB is at hand here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import uvloop
from kafka import KafkaProducer

from adapters.kafka.layout import Layout, load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.relay_standing import relay_standing
from adapters.kafka.topics import create_topics
from adapters.postgres.access import Access
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from bench.read_models import database, fill, life, process, tell
from domain.consistency import encode_token
from domain.track.events import TrackDescribed
from projections.progress import Progress
from projections.queries import Query, Views, Wait
from projections.views import VIEWS
from tests.servers.kafka import own_broker

TRACKS = 2_000
COMMANDS = 400
DEADLINE_S = 300.0


@dataclass(frozen=True)
class Side:
    """The measuring process's own parts, and how it starts others."""

    events: PostgresEventStore
    pool: Pool
    layout: Layout
    views: Views
    access: Access
    bootstrap: str

    @contextmanager
    def running(self, role: str, count: int = 1) -> Generator[list[int]]:
        """Run processes of a role around a block; gives their ids."""
        words = [sys.executable, "-m", "bench.distributed_process", role, self.access.serving, self.bootstrap]
        children = [subprocess.Popen(words, stderr=subprocess.DEVNULL) for _ in range(count)]
        try:
            yield [child.pid for child in children]
        finally:
            for child in children:
                child.send_signal(signal.SIGKILL)
                child.wait()


def main() -> None:
    """Print all tables."""
    with (
        tempfile.TemporaryDirectory() as folder,
        own_broker(Path(folder) / "kafka") as broker,
        database() as access,
    ):
        create_topics(access.owner, broker.bootstrap, "bench", partitions=4, replication=1)
        uvloop.run(_measure(access, broker.bootstrap))


async def _measure(access: Access, bootstrap: str) -> None:
    async with _side(access, bootstrap) as side:
        count = await fill(side.events, TRACKS)
        await _relay(side, count)
        for projectors in (1, 2):
            await _catch_up(side, count, projectors)
        for projectors in (1, 2):
            await _visible(side, projectors)


@asynccontextmanager
async def _side(access: Access, bootstrap: str) -> AsyncGenerator[Side]:
    async with process(access) as (events, _, pool):
        layout = await load_layout(pool)
        views = Views(PostgresDocuments(pool), VIEWS, events, Progress())
        yield Side(events, pool, layout, views, access, bootstrap)


async def _relay(side: Side, count: int) -> None:
    """The relay over a full log, beside a bare producer of the same bytes: its better run of two."""
    raw_s = await asyncio.to_thread(_raw_producer, side)  # the first one, on a broker that is cold

    async def position() -> int:
        return (await relay_standing(side.pool)).position

    async def leads() -> bool:
        return await position() > 0

    async def carried() -> bool:
        return await position() >= count

    with side.running("relay") as [pid]:
        await _until(leads)
        began, cpu = time.perf_counter(), _cpu_s([pid])
        left = count - await position()
        await _until(carried)
        took, used = time.perf_counter() - began, _cpu_s([pid]) - cpu
    raw_s = min(raw_s, await asyncio.to_thread(_raw_producer, side))
    relayed, raw = left / took, count / raw_s
    print(f"\n| {count} events into Kafka | events/s | CPU µs an event | relay / this |\n|---|---|---|---|")
    print(f"| relay, from Postgres to acknowledged | {relayed:,.0f} | {used / left * 1e6:.0f} | 1.00 |")
    print(f"| bare idempotent producer, the same bytes | {raw:,.0f} | – | {relayed / raw:.2f} |")


def _raw_producer(side: Side) -> float:
    with psycopg.connect(side.access.serving) as connection:
        rows = connection.execute("SELECT partition_key, state FROM stored_events ORDER BY notification_id")
        records = [(key.encode(), bytes(state)) for key, state in rows]
    began = time.perf_counter()
    with closing(
        KafkaProducer(bootstrap_servers=side.bootstrap, acks="all", enable_idempotence=True, linger_ms=5)
    ) as producer:
        # To the device's topic, which no view of this benchmark reads.
        for key, value in records:
            producer.send("bench.device", key=key, value=value)
        producer.flush()
    return time.perf_counter() - began


async def _catch_up(side: Side, count: int, projectors: int) -> None:
    """All four views from nothing, by one process or by two that share the work."""
    async with side.pool.connection() as connection:
        await connection.execute("DELETE FROM documents")
        await connection.execute("DELETE FROM view_watermarks")
        await connection.execute("DELETE FROM view_generations")

    async def built() -> bool:
        statuses = await side.views.status()
        return all(status.generation and min(status.watermarks.values()) >= count for status in statuses)

    with side.running("relay"), side.running("projector", projectors) as pids:
        began = time.perf_counter()
        await _until(built)
        took, used = time.perf_counter() - began, _cpu_s(pids)
    if projectors == 1:
        print(
            "\n| four views from nothing | events/s, each into four views | CPU µs an event |\n|---|---|---|"
        )
    print(f"| {projectors} projector process(es) | {count / took:,.0f} | {used / count * 1e6:.0f} |")


async def _visible(side: Side, projectors: int) -> None:
    log = KafkaLog(side.pool, side.bootstrap, side.layout)
    if projectors == 1:
        print("\n| projectors | clients | append p50 ms | append p95 ms | visible p50 ms | visible p95 ms |")
        print("|---|---|---|---|---|---|")
    with side.running("relay"), side.running("projector", projectors):
        await _client(side, log, 20)  # until everything has joined and is warm
        for clients in (1, 8):
            each = await asyncio.gather(*(_client(side, log, COMMANDS // clients) for _ in range(clients)))
            samples = [sample for some in each for sample in some]
            cells = [f"{q:.1f}" for times in zip(*samples, strict=True) for q in _quantiles(times)]
            print(f"| {projectors} | {clients} | {' | '.join(cells)} |", flush=True)


async def _client(side: Side, log: KafkaLog, commands: int) -> list[tuple[float, float]]:
    """Return, in ms, how long each append took and when its effect was seen."""
    track, samples = uuid4(), list[tuple[float, float]]()
    await tell(side.events, track, life(track, 0)[:1])
    shard = log.shard_of("track", str(track))
    for revision in range(1, commands + 1):
        began = time.perf_counter()
        position = await tell(side.events, track, [TrackDescribed(title=f"Title {revision}")], revision)
        appended = time.perf_counter()
        wait = Wait(encode_token({shard: position}), 30.0)
        page = await side.views.find("track_list", Query(limit=20), wait)
        seen = time.perf_counter()
        shown = next(item for item in page.items if item["track_id"] == str(track))
        assert shown["title"] == f"Title {revision}"
        samples.append(((appended - began) * 1000, (seen - began) * 1000))
    return samples


def _quantiles(times: tuple[float, ...]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=20)
    return cuts[9], cuts[18]


def _cpu_s(pids: list[int]) -> float:
    """Return the CPU time, user and system, that living processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await true():
        if time.monotonic() > deadline:
            raise TimeoutError("not in time")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
