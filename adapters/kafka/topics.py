"""Creates the topics, as part of `beatledger migrate`, and records them in Postgres.

The number of a topic's partitions is fixed: with another number keys would move and their order would be
lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from kafka.errors import InvalidReplicationFactorError
from kafka.protocol.consumer.offsets import OffsetSpec
from kafka.structs import TopicPartition

from adapters.kafka.clients import administering
from adapters.kafka.layout import Layout, Topic
from adapters.postgres.cannot_start import CannotStart
from domain.deciders import TOPICS

RETENTION = timedelta(days=7)
"""Kafka keeps events for this long. It is no archive: readers that were away longer use the event store."""


class TopicsRefused(CannotStart):
    """The existing topics are not ones that this installation can use."""


def create_topics(
    owner_conninfo: str,
    bootstrap: str,
    namespace: str,
    partitions: int,
    replication: int,
) -> tuple[str, ...]:
    """Create the missing topics, and record the layout of all in Postgres.

    Returns the names of the topics it created. Run it after the migrations, as the owner role; blocks.
    Raises TopicsRefused, Unavailable (no Kafka), psycopg.Error.
    """
    wanted = {subject: f"{namespace}.{subject}" for subject in sorted(set(TOPICS.values()))}
    with administering(bootstrap) as admin, psycopg.connect(owner_conninfo) as connection:
        # The table's lock serialises migrations.
        connection.execute("LOCK TABLE kafka_topics IN EXCLUSIVE MODE")
        noted = _noted(connection)
        if (most := max((topic.partitions for topic in noted.values()), default=0)) > partitions:
            raise TopicsRefused(
                f"this installation has {most} partitions a topic, not {partitions}: with fewer, its views "
                "would wait for ever for the removed ones"
            )
        _refuse_foreign(admin, wanted, noted, partitions)
        there = _described(admin, wanted.values())
        missing = [name for name in wanted.values() if name not in there]
        configs = {
            "retention.ms": str(int(RETENTION.total_seconds() * 1000)),
            "cleanup.policy": "delete",
            "min.insync.replicas": "2" if replication > 2 else "1",
        }
        settings = {
            "num_partitions": partitions,
            "replication_factor": replication,
            "configs": configs,
        }
        if missing:
            _create(admin, dict.fromkeys(missing, settings))
        _note(connection, admin, wanted)
    return tuple(missing)


def _create(admin: Any, topics: Mapping[str, Mapping[str, Any]]) -> None:
    try:
        admin.create_topics(topics, wait_for_metadata=True)
    except InvalidReplicationFactorError as error:
        raise TopicsRefused(
            "this Kafka has fewer brokers than the number of replicas of each topic: "
            "set BEATLEDGER_KAFKA_REPLICAS (1 on a single broker)"
        ) from error


def check_topics(admin: Any, layout: Layout) -> None:
    """Raise TopicsRefused unless the topics are those of the last migration."""
    there = _described(admin, [topic.name for topic in layout.topics])
    cluster_id = _cluster_id(admin)
    for topic in layout.topics:
        if topic.cluster_id != cluster_id:
            raise TopicsRefused(
                f"this Kafka is cluster {cluster_id}, the topics are in {topic.cluster_id}: "
                "run `beatledger migrate` if this Kafka is new, else correct its address"
            )
        if there.get(topic.name, (None, 0)) != (topic.topic_id, topic.partitions):
            raise TopicsRefused(
                f"the topic {topic.name} is missing or was replaced: run `beatledger migrate`"
            )


def end_offsets(admin: Any, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return the offset that the next record of each partition will get."""
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    return {partition: end.offset for partition, end in ends.items()}


def _refuse_foreign(
    admin: Any, wanted: Mapping[str, str], noted: Mapping[str, Topic], partitions: int
) -> None:
    cluster_id = _cluster_id(admin)
    for name, (topic_id, count) in _described(admin, wanted.values()).items():
        known = noted.get(name)
        ours = known is not None and (known.cluster_id, known.topic_id) == (cluster_id, topic_id)
        if not ours and any(
            end_offsets(admin, [TopicPartition(name, number) for number in range(count)]).values()
        ):
            raise TopicsRefused(
                f"the topic {name} holds records that did not come from this event store: "
                "use another namespace, or delete it"
            )
        if count != partitions:
            raise TopicsRefused(
                f"the topic {name} has {count} partitions, not {partitions}: this can't be changed, "
                "since keys would move to other partitions and lose their order"
            )


def _described(admin: Any, names: Any) -> dict[str, tuple[UUID, int]]:
    """Return id and number of partitions of the topics that exist."""
    return {
        topic["name"]: (UUID(str(topic["topic_id"])), len(topic["partitions"]))
        for topic in admin.describe_topics(list(names))
        if not topic["error_code"]
    }


def _cluster_id(admin: Any) -> str:
    return str(admin.describe_cluster()["cluster_id"])


def _noted(connection: psycopg.Connection[Any]) -> dict[str, Topic]:
    rows = connection.execute("SELECT subject, name, partitions, topic_id, cluster_id FROM kafka_topics")
    return {row[1]: Topic(*row) for row in rows.fetchall()}


def _note(connection: psycopg.Connection[Any], admin: Any, wanted: Mapping[str, str]) -> None:
    cluster_id = _cluster_id(admin)
    there = _described(admin, wanted.values())
    with closing(connection.cursor()) as cursor:
        cursor.executemany(
            """
            INSERT INTO kafka_topics (subject, name, topic_id, partitions, cluster_id)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (subject) DO UPDATE SET name = excluded.name, topic_id = excluded.topic_id,
                partitions = excluded.partitions, cluster_id = excluded.cluster_id
            """,
            [(subject, name, *there[name], cluster_id) for subject, name in wanted.items()],
        )
