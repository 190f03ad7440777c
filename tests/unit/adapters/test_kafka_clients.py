"""What our side makes of answers that a real Kafka gives too seldom for a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition

from adapters.kafka import member
from adapters.kafka.cloud_events import Row
from adapters.kafka.layout import Layout, Topic
from adapters.kafka.member import Member
from adapters.kafka.outbox import Outbox, RecordsLost
from domain.errors import Unavailable

SUBJECTS = ("deployment", "device", "track")
LAYOUT = Layout(Topic(subject, f"test.{subject}", 1, UUID(int=1), "cluster") for subject in SUBJECTS)


class Producer:
    """Acknowledges with the offsets it is given, one for each record."""

    def __init__(self, offsets: Sequence[int]) -> None:
        self._offsets = iter(offsets)
        self._sender = SimpleNamespace(force_close=lambda: None)

    def send(self, topic: str, value: bytes, key: bytes, headers: Any, partition: int) -> Any:
        place, offset = TopicPartition(topic, partition), next(self._offsets)
        record = SimpleNamespace(topic_partition=place, offset=offset)
        return SimpleNamespace(add_errback=lambda _: SimpleNamespace(get=lambda timeout: record))


def rows(count: int) -> list[Row]:
    at, one = datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1)
    return [
        (
            n,
            uuid4(),
            1,
            "track",
            "key",
            uuid4(),
            "track.described",
            1,
            b"{}",
            at,
            "user:a",
            one,
            None,
            one,
            None,
        )
        for n in range(1, count + 1)
    ]


def test_an_offset_that_is_given_again_is_noticed_whatever_was_sent_behind_it() -> None:
    """More is sent at once than was lost: the shard ends where it never did before, and still has a hole."""
    with pytest.raises(RecordsLost, match="offset 8 of track-0"):
        Outbox(Producer([8, 9, 10, 11, 12]), LAYOUT).send(rows(5), None, {"track-0": 10})


def test_the_ends_of_shards_are_those_of_before_moved_on() -> None:
    before = {"track-0": 10, "device-0": 3}
    assert Outbox(Producer([10, 12]), LAYOUT).send(rows(2), None, before) == {"track-0": 13, "device-0": 3}


def test_a_record_that_was_there_already_tells_no_offset_and_no_loss() -> None:
    assert Outbox(Producer([10, -1]), LAYOUT).send(rows(2), None, {"track-0": 10}) == {"track-0": 11}


@dataclass
class Consumer:
    """Connected to a Kafka that then answers as it is told."""

    partitions_for_topic: Callable[[str], set[int]]
    closed: list[bool] = field(default_factory=list[bool])

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        self.closed.append(autocommit)


def silence(_: str) -> set[int]:
    raise KafkaTimeoutError


@pytest.mark.parametrize("answer", [silence, lambda _: set[int]()], ids=["silent", "without topics"])
def test_a_member_that_could_not_join_leaves_no_client_behind(
    answer: Callable[[str], set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again all through an outage, and each client has a thread and sockets."""
    consumer = Consumer(answer)
    monkeypatch.setattr(member, "connect", lambda *_, **__: consumer)
    with pytest.raises(Unavailable):
        Member("kafka:9092", "group", ["test.track"], 500)
    assert consumer.closed == [False]
