"""What kafka-python leaves undone, forced on it: the workaround in adapters/kafka/member.py is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from kafka.structs import OffsetAndMetadata, TopicPartition

from adapters.kafka.log import set_offsets
from adapters.kafka.member import Member
from adapters.postgres.access import Access
from tests.servers.relays import make_topics

PARTITIONS = 4


@contextmanager
def group(access: Access, bootstrap: str, count: int) -> Generator[list[Member]]:
    """Give that many members of a new group that have shared out a topic's partitions."""
    topic = f"{make_topics(access, bootstrap, PARTITIONS)}.track"
    begin = {TopicPartition(topic, number): OffsetAndMetadata(0, "", -1) for number in range(PARTITIONS)}
    set_offsets(bootstrap, topic, begin)
    with ExitStack() as stack:
        joined = [Member(bootstrap, topic, [topic], 100) for _ in range(count)]
        for member in joined:
            stack.callback(member.close)
        _poll(joined, lambda: _shared_out(joined))
        yield joined


def _shared_out(joined: list[Member]) -> bool:
    shares = [len(member.assigned) for member in joined]
    return shares == [PARTITIONS // len(joined)] * len(joined)


def _poll(joined: list[Member], until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, "it did not come about"
        for member in joined:
            member.poll()


def _coordinator(member: Member) -> Any:
    return member._consumer._coordinator


def test_a_join_that_outlasts_its_cause_is_completed(database: Access, kafka: str) -> None:
    """The metadata changes and changes back while the group waits for its other member."""
    with group(database, kafka, 2) as joined:
        [leader] = [member for member in joined if _coordinator(member)._assignment_snapshot is not None]
        coordinator = _coordinator(leader)
        there = coordinator._metadata_snapshot
        coordinator._metadata_snapshot = {**there, "another topic": 1}
        _poll([leader], lambda: coordinator.rejoining)
        coordinator._metadata_snapshot = there
        assert not leader.assigned
        _poll(joined, lambda: _shared_out(joined))
