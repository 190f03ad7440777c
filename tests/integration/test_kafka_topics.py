"""Topics: made once by the migration, known to Postgres from then on, and never taken from somebody else."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from adapters.kafka.layout import load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.topics import TopicsRefused, create_topics
from adapters.postgres.access import Access
from domain.errors import Unavailable
from tests.servers.ledgers import open_ledger
from tests.servers.postgres import TestServer
from tests.servers.relays import make_topics

pytestmark = pytest.mark.anyio

NOWHERE = "127.0.0.1:1"


def test_they_are_created_once_with_what_was_stated(database: Access, kafka: str) -> None:
    namespace = make_topics(database, kafka, partitions=3)
    assert create_topics(database.owner, kafka, namespace, partitions=3, replication=1) == ()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        topics = admin.describe_topics([f"{namespace}.{s}" for s in ("track", "device", "deployment")])
        assert [len(topic["partitions"]) for topic in topics] == [3, 3, 3]
        configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, f"{namespace}.track")])
    finally:
        admin.close()
    assert str(int(timedelta(days=7).total_seconds() * 1000)) in str(configs)


def test_the_number_of_partitions_is_for_ever(database: Access, kafka: str) -> None:
    namespace = make_topics(database, kafka, partitions=2)
    with pytest.raises(TopicsRefused, match="has 2 partitions, not 3"):
        create_topics(database.owner, kafka, namespace, partitions=3, replication=1)


def test_more_copies_than_brokers_are_refused_with_the_setting_to_mend(database: Access, kafka: str) -> None:
    with pytest.raises(TopicsRefused, match="BEATLEDGER_KAFKA_REPLICAS"):
        create_topics(database.owner, kafka, f"copies-{uuid4().hex[:12]}", partitions=1, replication=3)


def test_topics_with_records_of_another_event_store_are_refused(
    database: Access, postgres: TestServer, kafka: str
) -> None:
    namespace = make_topics(database, kafka)
    producer = KafkaProducer(bootstrap_servers=kafka)
    producer.send(f"{namespace}.track", b"{}").get(10)
    producer.close()
    assert create_topics(database.owner, kafka, namespace, partitions=2, replication=1) == (), (
        "its own are fine"
    )
    with (
        postgres.database() as other,
        pytest.raises(TopicsRefused, match="did not come from this event store"),
    ):
        create_topics(other.owner, kafka, namespace, partitions=2, replication=1)


def test_another_namespace_may_have_more_partitions_never_fewer(database: Access, kafka: str) -> None:
    make_topics(database, kafka, partitions=2)
    more = f"more-{uuid4().hex[:12]}"
    with pytest.raises(TopicsRefused, match="has 2 partitions a topic, not 1"):
        create_topics(database.owner, kafka, more, partitions=1, replication=1)
    assert len(create_topics(database.owner, kafka, more, partitions=3, replication=1)) == 3


async def test_shards_are_known_while_kafka_is_away(database: Access, kafka: str) -> None:
    """So commands are accepted and tokens given; and the same keys stay on the same shards."""
    make_topics(database, kafka, partitions=4)
    async with open_ledger(database.serving) as ledger:
        log = KafkaLog(ledger.pool, NOWHERE, await load_layout(ledger.pool))
        assert {log.shard_of("track", f"key {n}") for n in range(50)} == {f"track-{n}" for n in range(4)}
        assert log.shard_of("lease", "a") == log.shard_of("device", "a")
        assert log.shard_of("member", "a") == log.shard_of("deployment", "a") == "deployment-0"
        with pytest.raises(Unavailable):
            await log.end_offsets(["track"])


async def test_a_database_that_was_never_migrated_with_a_kafka_says_so(database: Access) -> None:
    async with open_ledger(database.serving) as ledger:
        with pytest.raises(Unavailable, match="beatledger migrate"):
            await load_layout(ledger.pool)


def test_a_serving_process_cannot_change_the_layout(database: Access, kafka: str) -> None:
    make_topics(database, kafka)
    with (
        psycopg.connect(database.serving, autocommit=True) as serving,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        serving.execute("UPDATE kafka_topics SET partitions = 5")
