"""Detects that Kafka holds another history than the event store, as after a restore of an older copy.

New events would then get positions and revisions that consumers have already seen, and would be taken for
repetitions. The last record of each partition, event or marker, names a position and its event. It shows that
Kafka is ahead of the event store or, if the log has grown again, that another event has that position.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from kafka import KafkaConsumer

from adapters.kafka.clients import connect, kafka_unavailable
from adapters.kafka.cloud_events import LogPosition, log_position_of
from adapters.kafka.layout import Layout
from adapters.kafka.topics import TopicsRefused
from domain.errors import Unavailable

_PATIENCE_S = 10.0
_POLL_MS = 100


class AnotherHistory(TopicsRefused):
    """Kafka holds events that the event store does not hold."""


def last_positions(bootstrap: str, layout: Layout) -> dict[str, LogPosition]:
    """Return the log position of the last record of each shard that has any; blocks.

    Raises Unavailable.
    """
    with kafka_unavailable():
        consumer = connect(
            KafkaConsumer,
            bootstrap,
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            request_timeout_ms=5_000,
            metrics_enabled=False,
        )
        try:
            return _read_last(consumer, layout)
        finally:
            consumer.close(autocommit=False)


def refuse_another_history(there: Mapping[str, LogPosition], head: int, ids: Mapping[int, UUID]) -> None:
    """Raise AnotherHistory if Kafka's last records contradict the event store.

    `head` is the event store's last position, read after `there`; `ids` are its event ids at those positions.
    """
    for shard, last in there.items():
        if last.position > head:
            found = f"is at position {last.position}, the event store ends at {head}"
        elif last.event_id is not None and last.event_id != ids.get(last.position):
            found = f"has event {last.event_id} at position {last.position}, the event store another one"
        else:
            continue
        raise AnotherHistory(
            f"Kafka holds another history than the event store: {shard} {found}. The event store was "
            "restored from an older copy: use other topics, see Restore in docs/operations.md"
        )


def _read_last(consumer: KafkaConsumer, layout: Layout) -> dict[str, LogPosition]:
    partitions = list(layout.partitions)
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    waiting = {partition for partition in partitions if ends[partition] > begins[partition]}
    consumer.assign(list(waiting))
    for partition in waiting:
        consumer.seek(partition, ends[partition] - 1)
    last: dict[str, LogPosition] = {}
    deadline = time.monotonic() + _PATIENCE_S
    while waiting:
        if time.monotonic() > deadline:
            raise Unavailable(f"Kafka did not show the last record of {len(waiting)} partitions in time")
        for partition, records in consumer.poll(_POLL_MS).items():
            last[layout.shard(partition)] = log_position_of(records[0].headers)
            waiting.discard(partition)
            consumer.pause(partition)
    return last
