"""Groups on Kafka: shared by members, patient through outages, and never past what they have not shown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.kafka.clients import administering
from adapters.kafka.log import KafkaLog
from adapters.kafka.topics import create_topics
from adapters.postgres.access import Access
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.processes import process_ports
from commands.analysis.consumer import analyses
from commands.analysis.ports import JobStanding, QueuedJob
from commands.process import Process
from domain.errors import NotFound
from domain.events import REGISTRY
from domain.log import Log
from domain.recorded import Recorded
from projections.named_tasks import end
from projections.progress import Progress
from projections.queries import Views
from projections.supervisor import Projections
from projections.views import VIEWS
from tests.servers.kafka import Broker
from tests.servers.ledger_clients import Clients, check_log
from tests.servers.ledgers import Ledger, a_slice, open_ledger, told_by, whole_log
from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    read_models,
    running,
    shows_the_log,
    tell_stories,
)
from tests.servers.relays import make_topics, open_log, relayed, relaying

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _installation(access: Access, bootstrap: str) -> AsyncGenerator[Ledger]:
    """Give one process's parts, with a relay beside it."""
    async with open_ledger(access.serving) as ledger, relaying(access.serving, bootstrap):
        yield replace(ledger, log=await open_log(ledger, bootstrap))


@asynccontextmanager
async def _read_side(access: Access, bootstrap: str) -> AsyncGenerator[ReadSide]:
    """Give one process's read side behind Kafka."""
    async with open_ledger(access.serving) as ledger:
        log = await open_log(ledger, bootstrap)
        store, progress = PostgresDocuments(ledger.pool), Progress()
        yield ReadSide(
            replace(ledger, log=log),
            store,
            progress,
            Views(store, VIEWS, ledger.store, progress),
            Projections(VIEWS, store, log, ledger.store, REGISTRY, progress),
        )


async def _start(log: Log, categories: Collection[str] = ("track",)) -> None:
    await log.start_group("reader", dict.fromkeys(await log.end_offsets(categories), 0))


async def _follow(log: Log, seen: list[Recorded], limit: int = 500) -> None:
    async with log.subscribe("reader", ["track"], limit) as subscription:
        async for batch in subscription:
            seen.extend(batch.events)
            await subscription.commit()


async def _until(true: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_member_that_joins_in_mid_batch_costs_nothing(database: Access, kafka: str) -> None:
    """The first has a batch in hand as its partitions move; its late commit undoes nothing of the other's."""
    make_topics(database, kafka, partitions=4)
    async with _installation(database, kafka) as ledger:
        await _start(ledger.log)
        first_shown, second_shown = list[int](), list[Recorded]()

        enough = asyncio.Event()

        async def write() -> None:
            # Not cancelled: an append whose caller is gone may still come into the log.
            while not enough.is_set():
                await ledger.store.append([a_slice(uuid4(), 0, 3)], told_by())
                await asyncio.sleep(0.01)

        writing = asyncio.create_task(write())
        async with ledger.log.subscribe("reader", ["track"], 10) as first, asyncio.timeout(60):
            batches = aiter(first)
            in_hand = [e.position for e in (await anext(batches)).events]
            second = asyncio.create_task(_follow(ledger.log, second_shown))
            # Time to ask to join: what the first commits now, it commits as partitions are about to move.
            await asyncio.sleep(0.3)
            await first.commit()
            first_shown += in_hand
            while len(second_shown) < 30:
                first_shown += [e.position for e in (await anext(batches)).events]
                await first.commit()
        enough.set()
        await writing
        expected = {e.position for e in await whole_log(ledger.store)}
        await _until(lambda: expected == {*first_shown, *(e.position for e in second_shown)}, 60)
        await _all_committed(kafka, ledger)
        await end([second])


async def _all_committed(bootstrap: str, ledger: Ledger) -> None:
    async with asyncio.timeout(60):
        while await asyncio.to_thread(_committed, bootstrap, ledger) != await ledger.log.end_offsets(
            ["track"]
        ):
            await asyncio.sleep(0.1)


def _committed(bootstrap: str, ledger: Ledger) -> dict[str, int]:
    """Return what the group has committed, by shard."""
    with psycopg.connect(ledger.pool.conninfo) as connection:
        [(incarnation,)] = connection.execute("SELECT incarnation FROM kafka_groups").fetchall()
    assert isinstance(ledger.log, KafkaLog)
    group = ledger.log._kafka_group("reader", incarnation)
    with administering(bootstrap) as admin:
        [committed] = admin.list_group_offsets({group: None}).values()
    return {ledger.log._layout.shard(place): offset.offset for place, offset in committed.items()}


async def test_two_projectors_and_a_rebalancing_leave_the_same_documents(
    postgres: TestServer, kafka: str
) -> None:
    """One process follows all partitions, another joins under load, the first one leaves."""
    with read_models(postgres) as access:
        make_topics(access, kafka, partitions=4)
        async with (
            relaying(access.serving, kafka),
            _read_side(access, kafka) as one,
            _read_side(access, kafka) as other,
        ):
            async with running(one):
                await tell_stories(one.events, 1, tracks=10)
                await _caught_up(one)
                writing = asyncio.create_task(tell_stories(one.events, 2, tracks=40))
                await asyncio.sleep(0.2)
                joined = asyncio.create_task(other.projections.run())
                await writing
                await _caught_up(other)
            await tell_stories(one.events, 3, tracks=5)
            await _caught_up(other)
            await end([joined])
            await shows_the_log(other)


async def test_a_place_that_is_gone_is_an_error_and_never_a_jump(database: Access, kafka: str) -> None:
    """An offset beyond the end, or none at all for a partition: the group does not exist any more."""
    make_topics(database, kafka)
    async with _installation(database, kafka) as ledger:
        await ledger.store.append([a_slice(uuid4(), 0, 5)], told_by())
        await relayed(ledger)
        ends = await ledger.log.end_offsets(["track"])
        beyond = {shard: offset + 1000 for shard, offset in ends.items()}
        for places in (beyond, dict(list(ends.items())[:1])):
            await ledger.log.start_group("reader", places)
            with pytest.raises(NotFound, match="lost its position"):
                async with asyncio.timeout(20):
                    await _follow(ledger.log, [])
            assert not await ledger.log.group_exists("reader")


async def test_a_reader_goes_on_by_itself_after_an_outage_and_skips_nothing(
    database: Access, own_kafka: Broker
) -> None:
    """Kafka is frozen, then killed while others write, and comes back; nobody restarts the reader.

    Of each outage it says once that it waits, and once that it goes on.
    """
    make_topics(database, own_kafka.bootstrap)
    clients, seen, committed = Clients("kafka killed"), list[Recorded](), 0
    async with _installation(database, own_kafka.bootstrap) as ledger:
        await _start(ledger.log)
        reader = asyncio.create_task(_follow(ledger.log, seen, limit=20))
        await clients.run(ledger.store.append, 4, [1])
        await _until(lambda: len(seen) == 1)
        await relayed(ledger)
        await _all_committed(own_kafka.bootstrap, ledger)
        with capture_logs() as told:
            own_kafka.pause()
            await _until(lambda: bool(told))
            own_kafka.resume()
            await _until(lambda: len(told) > 1)
        assert [line["event"] for line in told] == ["kafka_log.waits", "kafka_log.goes_on"]
        assert told[0]["error"].startswith("Kafka has not answered for")
        async with asyncio.TaskGroup() as group:
            for client in range(4):
                group.create_task(clients.run(ledger.store.append, client, range(1, 61)))
            await _until(lambda: len(seen) > 20)
            with capture_logs() as told:
                own_kafka.kill()
                await asyncio.sleep(1.0)
                committed = len(clients.acknowledged)
                await asyncio.to_thread(own_kafka.start)
                await _until(lambda: any(line["event"] == "kafka_log.goes_on" for line in told))
        log = await whole_log(ledger.store)
        await _until(lambda: {e.position for e in seen} == {e.position for e in log}, within_s=60)
        await end([reader])
        lines = [line["event"] for line in told if line["event"].startswith("kafka_log")]
        assert lines == ["kafka_log.waits", "kafka_log.goes_on"]
        assert committed, "commands were not accepted while Kafka was away"
        first = list({e.position: e for e in seen}.values())
        check_log(sorted(first, key=lambda e: e.position), clients.acknowledged)
        for stream in {e.stream for e in log}:
            revisions = [e.revision for e in first if e.stream == stream]
            assert revisions == sorted(revisions)


class NotedQueue:
    """A job queue that notes what it is told."""

    def __init__(self) -> None:
        self.queued: set[UUID] = set()

    async def enqueue(self, job: QueuedJob) -> None:
        self.queued.add(job.event_id)

    async def record(self, standing: JobStanding) -> None:
        pass

    def wake(self) -> None:
        pass

    def cancel(self, job_id: UUID) -> None:
        pass


async def test_everyone_catches_up_from_the_event_store_when_kafka_comes_back_empty(
    postgres: TestServer, own_kafka: Broker
) -> None:
    """Nobody is restarted; only the topics are created anew, by `beatledger migrate`."""
    with read_models(postgres) as access:
        namespace = make_topics(access, own_kafka.bootstrap)
        async with (
            relaying(access.serving, own_kafka.bootstrap),
            _read_side(access, own_kafka.bootstrap) as side,
        ):
            queue = NotedQueue()
            consumer = Process(
                analyses(queue, queue),  # type: ignore[arg-type]
                side.ledger.log,
                side.events,
                process_ports(side.ledger.pool),
                None,  # type: ignore[arg-type] - it issues no commands
            )
            following = asyncio.create_task(consumer.run())
            async with running(side):
                await tell_stories(side.events, 1, tracks=5)
                await _caught_up(side)
                own_kafka.kill()
                await tell_stories(side.events, 2, tracks=5)
                own_kafka.empty()
                await asyncio.to_thread(own_kafka.start)
                await asyncio.to_thread(create_topics, access.owner, own_kafka.bootstrap, namespace, 2, 1)
                await tell_stories(side.events, 3, tracks=5)
                await asyncio.wait_for(relayed(side.ledger), 60)
                await _caught_up(side)
                asked = {e.event_id for e in await whole_log(side.events, type="track.analysis_queued")}
                await _until(lambda: queue.queued == asked, within_s=60)
                await end([following])
            await shows_the_log(side)


async def _caught_up(side: ReadSide) -> None:
    """As `caught_up`, with the time that a busy machine and clients in an outage may take."""
    async with asyncio.timeout(90):
        while True:
            if all(s.generation and s.lag_events == 0 for s in await side.views.status()):
                return
            await asyncio.sleep(0.05)


async def test_a_subscription_leaves_no_thread_behind(database: Access, kafka: str) -> None:
    """Nor does one that never reached Kafka."""
    make_topics(database, kafka)
    async with _installation(database, kafka) as ledger:
        await _start(ledger.log)
        await asyncio.gather(*(asyncio.to_thread(lambda: None) for _ in range(8)))
        assert isinstance(ledger.log, KafkaLog)
        before = {t.name for t in threading.enumerate() if "kafka" in t.name}
        for address in (kafka, "127.0.0.1:1"):
            log = KafkaLog(ledger.pool, address, ledger.log._layout)
            async with log.subscribe("reader", ["track"]) as subscription:
                waiting = asyncio.create_task(anext(aiter(subscription)))
                await _until(lambda: any("kafka-reader" in t.name for t in threading.enumerate()))
                await end([waiting])
        assert not [t.name for t in threading.enumerate() if "kafka-reader" in t.name]
        assert len({t.name for t in threading.enumerate() if "kafka" in t.name} - before) <= 1
