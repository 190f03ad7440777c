"""A distributed installation's log over a test's database and Kafka, and relays as processes to be killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from adapters.kafka.cloud_events import category_of, position_of, recorded_of
from adapters.kafka.layout import Layout, load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.relay import Relay
from adapters.kafka.relay_standing import relay_standing
from adapters.kafka.topics import create_topics
from adapters.postgres.access import Access
from projections.named_tasks import end
from tests.servers.ledgers import Ledger, whole_log
from tests.servers.postgres import OwnPostgres

ROOT = Path(__file__).parents[2]


def make_topics(access: Access | OwnPostgres, bootstrap: str, partitions: int = 2) -> str:
    """Create topics of the test's own, as `beatledger migrate` does; returns what their names begin with."""
    namespace = f"t{uuid4().hex[:12]}"
    create_topics(access.owner, bootstrap, namespace, partitions, replication=1)
    return namespace


async def open_log(ledger: Ledger, bootstrap: str) -> KafkaLog:
    """Return the log as another part of the ledger's process."""
    return KafkaLog(ledger.pool, bootstrap, await load_layout(ledger.pool))


@asynccontextmanager
async def relaying(serving: str, bootstrap: str) -> AsyncGenerator[Relay]:
    """Run a relay in this process around a block."""
    relay = Relay(serving, bootstrap)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end([task])


async def relayed(ledger: Ledger, within_s: float = 30) -> None:
    """Wait until everything in the event store is in Kafka."""
    async with asyncio.timeout(within_s):
        while (await relay_standing(ledger.pool)).lag_events:
            await asyncio.sleep(0.01)


def records_in(bootstrap: str, layout: Layout) -> dict[TopicPartition, list[Any]]:
    """Return everything in Kafka, as any consumer sees it."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none", enable_auto_commit=False)
    try:
        partitions = list(layout.partitions)
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        found: dict[TopicPartition, list[Any]] = {partition: [] for partition in partitions}
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for partition, records in consumer.poll(200).items():
                found[partition] += records
        return found
    finally:
        consumer.close()


async def holds_the_log(ledger: Ledger, bootstrap: str) -> int:
    """Assert that Kafka holds the event store's log: nothing missing, each event in its partition, first
    occurrences in order, no marker that promises too much. Returns how many records are repetitions."""
    layout = await load_layout(ledger.pool)
    found = await asyncio.to_thread(records_in, bootstrap, layout)
    expected: dict[TopicPartition, list[int]] = {partition: [] for partition in layout.partitions}
    log = await whole_log(ledger.store)
    for event in log:
        expected[layout.partition_of(event.category, event.partition_key)].append(event.position)
    repeated = 0
    for partition, records in found.items():
        first: list[int] = []
        for record in records:
            position = position_of(record.headers)
            if category_of(record.headers) is None:
                due = [p for p in expected[partition] if p <= position]
                assert first[: len(due)] == due, f"a marker says {position} too early"
            elif position in first:
                repeated += 1
            else:
                first.append(position)
                assert recorded_of(record.key, record.value, record.headers) == log[position - 1]
        assert first == expected[partition]
    return repeated


async def start_relay(serving: str, bootstrap: str) -> asyncio.subprocess.Process:
    """Start a relay as a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.servers.relays", serving, bootstrap), cwd=ROOT
    )


if __name__ == "__main__":
    asyncio.run(Relay(sys.argv[1], sys.argv[2]).run())
