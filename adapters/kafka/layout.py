"""The topics, and the partition of each key. Postgres stores them, so Kafka need not be reachable.

docs/contracts.md names the topics. A shard of the log port is a partition; its name has no dot, since
document stores use it in paths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka.partitioner.default import murmur2
from kafka.structs import TopicPartition
from psycopg import AsyncConnection
from psycopg.errors import UndefinedTable

from adapters.postgres.pool import Pool, connection
from domain.deciders import TOPICS
from domain.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the last `beatledger migrate` recorded it."""

    subject: str
    name: str
    partitions: int
    topic_id: UUID
    cluster_id: str


class Layout:
    """The topics of one installation."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._topics = {topic.subject: topic for topic in topics}
        self._shards = {
            TopicPartition(topic.name, number): f"{topic.subject}-{number}"
            for topic in self._topics.values()
            for number in range(topic.partitions)
        }
        self._partitions = {shard: partition for partition, shard in self._shards.items()}

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic."""
        return tuple(self._topics.values())

    @property
    def namespace(self) -> str:
        """The prefix of the topics' names."""
        return self.topics[0].name.rpartition(".")[0]

    @property
    def partitions(self) -> tuple[TopicPartition, ...]:
        """Every partition of every topic."""
        return tuple(self._shards)

    def of(self, categories: Collection[str]) -> list[Topic]:
        """Return the topics that carry these categories."""
        return [self._topics[subject] for subject in sorted({TOPICS[c] for c in categories})]

    def partition_of(self, category: str, partition_key: str) -> TopicPartition:
        """Return the partition of a key, chosen as Kafka's clients do by default (murmur2)."""
        topic = self._topics[TOPICS[category]]
        return TopicPartition(topic.name, (murmur2(partition_key.encode()) & 0x7FFFFFFF) % topic.partitions)

    def shard(self, partition: TopicPartition) -> str:
        """Return the shard's name of a partition."""
        return self._shards[partition]

    def partition(self, shard: str) -> TopicPartition:
        """Return the partition of a shard."""
        return self._partitions[shard]


async def load_layout(pool: Pool) -> Layout:
    """Return the layout of the last migration. Raises Unavailable, also if none had a Kafka yet."""
    try:
        async with connection(pool) as conn:
            return await fetch_layout(conn)
    except UndefinedTable as error:
        raise Unavailable("this database is not migrated: run `beatledger migrate`") from error


async def fetch_layout(conn: AsyncConnection[Any]) -> Layout:
    """See load_layout."""
    cursor = await conn.execute(
        "SELECT subject, name, partitions, topic_id, cluster_id FROM kafka_topics ORDER BY subject"
    )
    topics = [Topic(*row) for row in await cursor.fetchall()]
    if {topic.subject for topic in topics} != set(TOPICS.values()):
        raise Unavailable("this database has no Kafka topics yet: run `beatledger migrate`")
    return Layout(topics)
