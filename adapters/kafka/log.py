"""The log port over Kafka: a group is a consumer group, a shard is a partition. Implements domain.log.Log.

A restarted group is a new group for Kafka, under a name of its own that Postgres stores. So it can start
while members of the old group still run, and these can't commit to the new one. A group whose position is
gone (Kafka deleted its offsets, or the records there) no longer exists: its reader catches up from the
event store and starts it again. No event is skipped silently.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from kafka import errors
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata, TopicPartition

from adapters.kafka.clients import administering
from adapters.kafka.layout import Layout
from adapters.kafka.subscription import KafkaSubscription
from adapters.kafka.topics import end_offsets
from adapters.postgres.pool import Pool, connection
from domain.errors import NotFound
from domain.log import Offsets

_PATIENCE_S = 10.0


class KafkaLog:
    """Consumer groups over the topics of one installation; Postgres maps each group to its Kafka group."""

    def __init__(self, pool: Pool, bootstrap: str, layout: Layout) -> None:
        self._pool = pool
        self._bootstrap = bootstrap
        self._layout = layout

    @asynccontextmanager
    async def subscribe(
        self, group: str, categories: Collection[str], limit: int = 500
    ) -> AsyncGenerator[KafkaSubscription]:
        """See domain.log.Log. Raises NotFound for a group never started or without its position, Unavailable.

        While Kafka is unreachable the batches wait; they continue when it is back.
        """
        incarnation = await self._incarnation(group)
        if incarnation is None:
            raise NotFound(f"the consumer group {group} was never started")
        subscription = KafkaSubscription(
            self._pool,
            self._bootstrap,
            self._layout,
            group,
            incarnation,
            self._kafka_group(group, incarnation),
            frozenset(categories),
            limit,
        )
        try:
            yield subscription
        finally:
            await subscription.close()

    async def end_offsets(self, categories: Collection[str]) -> Offsets:
        """See domain.log.Log. Raises Unavailable."""
        partitions = [
            TopicPartition(topic.name, number)
            for topic in self._layout.of(categories)
            for number in range(topic.partitions)
        ]
        ends = await asyncio.to_thread(_end_offsets, self._bootstrap, partitions)
        return {self._layout.shard(partition): offset for partition, offset in ends.items()}

    async def start_group(self, group: str, offsets: Offsets) -> None:
        """See domain.log.Log. Members of the old group can't commit any more. Raises Unavailable."""
        incarnation = uuid4()
        begin = {
            self._layout.partition(shard): OffsetAndMetadata(offset, "", -1)
            for shard, offset in offsets.items()
        }
        await asyncio.to_thread(_set_offsets, self._bootstrap, self._kafka_group(group, incarnation), begin)
        async with connection(self._pool) as conn:
            await conn.execute(
                """
                INSERT INTO kafka_groups (name, incarnation) VALUES (%s, %s)
                ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, started_at = now()
                """,
                [group, incarnation],
            )

    async def group_exists(self, group: str) -> bool:
        """See domain.log.Log. Raises Unavailable."""
        return await self._incarnation(group) is not None

    def shard_of(self, category: str, partition_key: str) -> str:
        """See domain.log.Log. Needs no Kafka."""
        return self._layout.shard(self._layout.partition_of(category, partition_key))

    async def _incarnation(self, group: str) -> UUID | None:
        async with connection(self._pool) as conn:
            cursor = await conn.execute("SELECT incarnation FROM kafka_groups WHERE name = %s", [group])
            row = await cursor.fetchone()
        return row[0] if row else None

    def _kafka_group(self, group: str, incarnation: UUID) -> str:
        return f"{self._layout.namespace}.{group}.{incarnation.hex[:12]}"


def _end_offsets(bootstrap: str, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    with administering(bootstrap) as admin:
        return end_offsets(admin, partitions)


def _set_offsets(
    bootstrap: str, kafka_group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]
) -> None:
    """Set the offsets of a group that has no members; blocks. Raises Unavailable."""

    def alter() -> None:
        for error in admin.alter_group_offsets(kafka_group, dict(offsets)).values():
            if error is not NoError:
                raise error(f"offsets of {kafka_group} refused")

    with administering(bootstrap) as admin:
        _retry(alter)


def _retry(ask: Callable[[], None]) -> None:
    """Retry while Kafka reports a retriable error: a new one creates its group coordinator on first use."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except errors.RetriableError:  # pyright: ignore[reportAttributeAccessIssue] - new in version 3
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
