"""Sends events to Kafka in order, up to the first failure: after one, a producer sends nothing more.

By default kafka-python continues with the next records of a partition after it has given one up. The first
occurrences of a key's events would then be out of order, with one missing in between. Therefore the first
record that fails shuts down the sender, in the sender's own thread, before it takes the next batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from adapters.kafka.clients import connect, kafka_unavailable
from adapters.kafka.cloud_events import MARKER_KEY, MARKER_VALUE, LogPosition, Row, headers_of, marker_headers
from adapters.kafka.layout import Layout
from domain.errors import Unavailable

DELIVERY_S = 15.0
"""The longest time until Kafka has acknowledged a record; it covers a restart of Kafka."""
_BATCH_BYTES = 131_072
_REQUEST_BYTES = 1_000_000
"""An event has at most 512,000 bytes (domain.log.MAX_EVENT_BYTES), and a broker takes 1 MB by default."""


class RecordsLost(Exception):
    """Kafka assigned an offset twice: it lost records that it had acknowledged."""


def open_outbox(bootstrap: str, layout: Layout) -> Outbox:
    """Return a connected outbox; blocks. Raises Unavailable."""
    with kafka_unavailable():
        producer = connect(
            KafkaProducer,
            bootstrap,
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
            request_timeout_ms=5_000,
            delivery_timeout_ms=int(DELIVERY_S * 1000),
            max_block_ms=5_000,
            metrics_enabled=False,
        )
    outbox = Outbox(producer, layout)
    try:
        with kafka_unavailable():
            # The partitions are known in advance, so that no send waits for metadata.
            for topic in layout.topics:
                producer.partitions_for(topic.name)
    except BaseException:
        outbox.close()
        raise
    return outbox


class Outbox:
    """One producer. Every method blocks and belongs to one thread, except `discard`."""

    def __init__(self, producer: Any, layout: Layout) -> None:
        self._producer = producer
        self._layout = layout
        self._source = f"/{layout.namespace}"

    def send(
        self, rows: Sequence[Row], marked: LogPosition | None, ends: Mapping[str, int]
    ) -> dict[str, int]:
        """Send events in this order, then the marker `marked` to every partition; await all acknowledgements.

        `ends` are the next offsets of the shards as far as they are known; returns the new ones. Raises
        Unavailable (discard the outbox and start again after the last acknowledgement), RecordsLost.
        """
        try:
            sent = [self._event(row) for row in rows]
            if marked is not None:
                sent += [self._marker(partition, marked) for partition in self._layout.partitions]
            return self._ends_after((record.get(DELIVERY_S + 5) for record in sent), ends)
        except (KafkaError, RuntimeError) as error:  # RuntimeError: the client is closed
            self.discard()
            raise Unavailable(f"Kafka did not take a record: {error!r}") from error

    def discard(self, *_: object) -> None:
        """Stop sending at once; records without an acknowledgement fail. May be called from any thread.

        `close(timeout=0)` would flush first, and fail while records are waiting.
        """
        self._producer._sender.force_close()

    def close(self) -> None:
        """Close the producer; unacknowledged records are given up."""
        self.discard()
        self._producer._sender.join(DELIVERY_S)
        with suppress(KafkaError):
            self._producer.close(timeout=1.0)

    def _event(self, row: Row) -> Any:
        partition = self._layout.partition_of(row[3], row[4])
        return self._put(partition, row[4].encode(), row[8], headers_of(row, self._source))

    def _marker(self, partition: TopicPartition, marked: LogPosition) -> Any:
        return self._put(partition, MARKER_KEY, MARKER_VALUE, marker_headers(marked))

    def _put(self, partition: TopicPartition, key: bytes, value: bytes, headers: Any) -> Any:
        record = self._producer.send(partition.topic, value, key, headers, partition.partition)
        return record.add_errback(self.discard)

    def _ends_after(self, acknowledged: Iterable[Any], before: Mapping[str, int]) -> dict[str, int]:
        # Compares each record, not the last of a shard: more may have been sent since than were lost. This
        # is the only sign, because kafka-python answers a sequence that the broker has forgotten with a new
        # epoch.
        ends = dict(before)
        for record in acknowledged:
            if record.offset < 0:  # Kafka has the record already, at an unknown offset
                continue
            shard = self._layout.shard(record.topic_partition)
            if record.offset < ends.get(shard, 0):
                raise RecordsLost(f"offset {record.offset} of {shard} was given twice")
            ends[shard] = record.offset + 1
        return ends
