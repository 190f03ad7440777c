"""One member of a Kafka consumer group, as blocking calls for one thread.

Only one thread at a time may use kafka-python's consumer, and its polls must not be far apart. The
subscription makes one call after the other. A reader that handles a batch for longer than POLL_INTERVAL_S
loses its partitions to others, who get its uncommitted batches again. Offsets are committed explicitly
only. If a group has no offset, or one that Kafka has deleted, that is an error (`auto_offset_reset=none`),
never a jump.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, errors
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from adapters.kafka.clients import connect, kafka_unavailable
from domain.errors import Unavailable
from domain.log import PAGE_BYTES

log = structlog.get_logger(__name__)

POLL_MS = 100
"""The longest duration of one poll, and therefore the longest wait until a member ends."""
SESSION_S = 10
"""After this time without a heartbeat Kafka gives a member's partitions to others."""
POLL_INTERVAL_S = 300
SILENT_S = 3
LOST_S = 3 * SESSION_S
"""After this time without an answer a member is given up, and another one joins."""
_COMMIT_MS = 2_000
_CLOSE_MS = 1_000
_FETCH_BYTES = 4_000_000

_NOT_OURS_ANY_MORE = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
_PLACE_LOST = (
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    errors.LogTruncationError,  # pyright: ignore[reportAttributeAccessIssue] - new in version 3
)


class PlaceLost(Exception):
    """The group has no offset for a partition, or Kafka no longer has the records there."""


class Member(ConsumerRebalanceListener):
    """A member that has asked to join its group; `assigned` are its partitions.

    Every method blocks and raises Unavailable if Kafka is unreachable.
    """

    def __init__(self, bootstrap: str, kafka_group: str, topics: Sequence[str], limit: int) -> None:
        self.assigned: frozenset[TopicPartition] = frozenset()
        self._handed: dict[TopicPartition, OffsetAndMetadata] = {}
        self._began: dict[TopicPartition, int] = {}
        self._waiting: dict[TopicPartition, list[Any]] = {}
        self._group = kafka_group
        with kafka_unavailable():
            self._consumer = connect(
                KafkaConsumer,
                bootstrap,
                group_id=kafka_group,
                auto_offset_reset="none",
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                partition_assignment_strategy=(RangePartitionAssignor,),
                max_poll_records=limit,
                max_poll_interval_ms=POLL_INTERVAL_S * 1000,
                session_timeout_ms=SESSION_S * 1000,
                heartbeat_interval_ms=SESSION_S * 100,
                request_timeout_ms=10_000,
                fetch_max_wait_ms=500,
                fetch_max_bytes=_FETCH_BYTES,
                metadata_max_age_ms=30_000,
                metrics_enabled=False,
            )
        try:
            self._look_for(topics)
        except BaseException:
            # Closed here because nobody else refers to it, and each retry of an outage makes another one.
            self.close()
            raise
        self._consumer.subscribe(list(topics), listener=self)

    def poll(self) -> dict[TopicPartition, list[Any]]:
        """Return records by partition, at most `limit` of them and PAGE_BYTES. Raises PlaceLost."""
        if not self._waiting:
            self._waiting = self._fetch()
        records, self._waiting = first_page(self._waiting)
        for partition, some in records.items():
            self._handed[partition] = next_after(some[-1])
            self._began.setdefault(partition, some[0].offset)
        return records

    def _fetch(self) -> dict[TopicPartition, list[Any]]:
        self._finish_joining()
        silent_s, wait_ms = self.silent_s() or 0.0, POLL_MS
        if silent_s > LOST_S:
            raise Unavailable(f"{self._group} got no answer from its group for {LOST_S} s")
        if silent_s > SILENT_S:
            # With a heartbeat overdue kafka-python's poll does not wait but spins.
            time.sleep(POLL_MS / 1000)
            wait_ms = 0
        with kafka_unavailable():
            try:
                return self._consumer.poll(wait_ms)
            except _PLACE_LOST as lost:
                raise PlaceLost(repr(lost)) from lost

    def commit(self, up_to: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit these offsets, None = all that were returned by `poll`.

        Leaves out partitions that have moved to others, and records polled before a partition came back:
        others poll these again, and a commit could undo theirs.
        """
        offsets = dict(self._handed)
        if up_to is not None:
            offsets = {
                partition: OffsetAndMetadata(offset, "", -1)
                for partition, offset in up_to.items()
                if partition in self._began and offset > self._began[partition]
            }
        if not offsets:
            return
        with kafka_unavailable():
            try:
                self._consumer.commit(offsets, timeout_ms=_COMMIT_MS)
            except _NOT_OURS_ANY_MORE as rebalanced:
                log.info("member.rebalanced_before_commit", group=self._group, error=repr(rebalanced))
        if up_to is None:
            self._handed.clear()

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def silent_s(self) -> float | None:
        """Return the time without an answer to heartbeats; None while this member is not in the group.

        After an outage kafka-python's heartbeat may wait for ever for a lost answer, and the group
        continues without this member. No public interface shows that.
        """
        coordinator: Any = self._consumer._coordinator  # pyright: ignore[reportPrivateUsage]
        heartbeat = coordinator.heartbeat
        if not coordinator.stable():
            return None
        return time.monotonic() - max(heartbeat.last_receive, heartbeat.last_reset)

    def _look_for(self, topics: Sequence[str]) -> None:
        """Raise Unavailable unless the topics are there.

        The member that leads its group assigns the partitions it knows. Without this look it may know none
        yet, assign nothing, and never look again.
        """
        with kafka_unavailable():
            missing = [topic for topic in topics if not self._consumer.partitions_for_topic(topic)]
        if missing:
            raise Unavailable(f"Kafka lacks {', '.join(missing)}: run `beatledger migrate`")

    def _finish_joining(self) -> None:
        """Complete a join that lasted longer than the poll that started it.

        kafka-python forgets such a join when its cause no longer holds (metadata that changed, and changed
        back), and the member then polls for ever without a partition. Java's client completes a pending
        join too.
        """
        coordinator: Any = self._consumer._coordinator  # pyright: ignore[reportPrivateUsage]
        if coordinator.rejoining and not coordinator.need_rejoin():
            coordinator.request_rejoin()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget the records polled from these partitions: a commit could undo that of their next owner."""
        self.assigned -= frozenset(revoked)
        for partition in revoked:
            self._handed.pop(partition, None)
            self._began.pop(partition, None)
            self._waiting.pop(partition, None)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start each partition at its committed offset."""
        self.assigned |= frozenset(assigned)


def first_page(
    records: Mapping[TopicPartition, list[Any]],
) -> tuple[dict[TopicPartition, list[Any]], dict[TopicPartition, list[Any]]]:
    """Return the first PAGE_BYTES of records, at least one, and the rest; each partition's in order."""
    page: dict[TopicPartition, list[Any]] = {}
    rest: dict[TopicPartition, list[Any]] = {}
    left = PAGE_BYTES
    for partition, some in records.items():
        for record in some:
            left -= len(record.value)
            fits = left >= 0 or not page
            (page if fits else rest).setdefault(partition, []).append(record)
    return page, rest


def next_after(record: Any) -> OffsetAndMetadata:
    """Return the offset after a record."""
    return OffsetAndMetadata(
        record.offset + 1, "", record.leader_epoch if record.leader_epoch is not None else -1
    )
