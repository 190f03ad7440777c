"""One reader of a group on Kafka: its member runs in a thread, its group's state is in Postgres."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from kafka.structs import TopicPartition

from adapters.kafka.cloud_events import category_of, position_of, recorded_of
from adapters.kafka.layout import Layout
from adapters.kafka.member import SILENT_S, Member, PlaceLost
from adapters.postgres.pool import Pool, connection
from domain.errors import NotFound, Unavailable
from domain.log import Batch
from domain.recorded import Recorded

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

_AGAIN_S = (0.1, 5.0)
LOOK_S = 1.0
"""The interval at which a member checks that its group is still current, besides at each commit."""


class KafkaSubscription:
    """See domain.log.Subscription. It waits while Kafka is unreachable; it never skips events."""

    def __init__(
        self,
        pool: Pool,
        bootstrap: str,
        layout: Layout,
        group: str,
        incarnation: UUID,
        kafka_group: str,
        categories: frozenset[str],
        limit: int,
    ) -> None:
        self._pool = pool
        self._bootstrap = bootstrap
        self._layout = layout
        self._group = group
        self._incarnation = incarnation
        self._kafka_group = kafka_group
        self._categories = categories
        self._limit = limit
        self._thread = ThreadPoolExecutor(1, f"kafka-{group}")
        self._member: Member | None = None
        self._polling: asyncio.Future[Any] | None = None
        self._reached: dict[str, int] = {}
        self._failures = 0
        self._waiting_since: float | None = None
        self._checked_at = time.monotonic()

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """See domain.log.Subscription. Raises NotFound when the group lost its position: start it again."""
        while True:
            await self._look_around()
            try:
                records = await self._poll()
            except PlaceLost as lost:
                await self._forget_group()
                reason = f"the consumer group {self._group} lost its position in Kafka: {lost}"
                raise NotFound(reason) from lost
            except Unavailable as away:
                await self._begin_again(away)
                continue
            self._failures = 0
            self._tell_silence()
            if records and (batch := self._batch(records)):
                yield batch

    @property
    def reached(self) -> Mapping[str, int]:
        """See domain.log.Subscription."""
        assigned = self._member.assigned if self._member else frozenset[TopicPartition]()
        ours = {self._layout.shard(partition) for partition in assigned}
        return {shard: position for shard, position in self._reached.items() if shard in ours}

    async def commit(self, batch: Batch | None = None) -> None:
        """See domain.log.Subscription. Waits while Kafka or Postgres is unreachable.

        Raises NotFound when the group was restarted or lost its position meanwhile: subscribe again.
        """
        offsets = None
        if batch is not None:
            offsets = {self._layout.partition(shard): offset for shard, offset in batch.offsets.items()}
        while True:
            try:
                await self._check_incarnation()
                if self._member is not None:
                    await self._in_thread(partial(self._member.commit, offsets))
            except Unavailable as away:
                self._tell_waiting(str(away))
                await asyncio.sleep(_wait_s(1))
            else:
                self._tell_going_on()
                return

    async def close(self) -> None:
        """Leave the group and end the thread, at the earliest when the current poll ends."""
        if self._polling is not None:
            self._polling.add_done_callback(_ignore)
        closing = asyncio.ensure_future(asyncio.to_thread(self._close))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise

    def _close(self) -> None:
        self._thread.submit(self._leave).result()
        self._thread.shutdown()

    def _leave(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None

    async def _poll(self) -> Mapping[TopicPartition, list[Any]]:
        # After a cancellation the poll continues in the thread, and its records must not be lost.
        if self._polling is None:
            self._polling = self._in_thread(self._poll_in_thread)
        try:
            records = await asyncio.shield(self._polling)
        finally:
            if self._polling.done():
                self._polling = None
        return records

    def _poll_in_thread(self) -> Mapping[TopicPartition, list[Any]]:
        if self._member is None:
            topics = [topic.name for topic in self._layout.of(self._categories)]
            self._member = Member(self._bootstrap, self._kafka_group, topics, self._limit)
        return self._member.poll()

    def _in_thread(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _batch(self, records: Mapping[TopicPartition, list[Any]]) -> Batch | None:
        """Return the events of the subscribed categories; None if not even the markers report progress."""
        events: list[Recorded] = []
        reached: dict[str, int] = {}
        offsets: dict[str, int] = {}
        size = 0
        for partition, some in records.items():
            shard = self._layout.shard(partition)
            offsets[shard] = some[-1].offset + 1
            for record in some:
                category = category_of(record.headers)
                if category in self._categories:
                    events.append(recorded_of(record.key, record.value, record.headers))
                    size += len(record.value)
                position = position_of(record.headers)
                # Positions of repeated records are lower; `reached` never goes back.
                if position > self._reached.get(shard, 0):
                    self._reached[shard] = reached[shard] = position
        return Batch(tuple(events), reached, offsets, size) if events or reached else None

    async def _begin_again(self, away: Unavailable) -> None:
        self._failures += 1
        wait_s = _wait_s(self._failures)
        self._tell_waiting(str(away))
        await self._in_thread(self._leave)
        await asyncio.sleep(wait_s)

    def _tell_silence(self) -> None:
        # While a connected Kafka is silent a poll returns nothing and does not fail, so the heartbeats are
        # checked.
        silent_s = self._member.silent_s() if self._member else None
        if silent_s is None:
            return
        if silent_s > SILENT_S:
            self._tell_waiting(f"Kafka has not answered for {silent_s:.0f} s")
        else:
            self._tell_going_on()

    def _tell_waiting(self, error: str) -> None:
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
            log.warning("kafka_log.waits", group=self._group, error=error)

    def _tell_going_on(self) -> None:
        if self._waiting_since is not None:
            waited_s = round(time.monotonic() - self._waiting_since, 1)
            self._waiting_since = None
            log.info("kafka_log.goes_on", group=self._group, waited_s=waited_s)

    async def _look_around(self) -> None:
        """Check from time to time that the group is still current, also without batches to commit."""
        if time.monotonic() - self._checked_at > LOOK_S:
            self._checked_at = time.monotonic()
            with suppress(Unavailable):
                await self._check_incarnation()

    async def _check_incarnation(self) -> None:
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                "SELECT 1 FROM kafka_groups WHERE name = %s AND incarnation = %s",
                [self._group, self._incarnation],
            )
            if await cursor.fetchone() is None:
                raise NotFound(f"the consumer group {self._group} was restarted or is gone: subscribe again")

    async def _forget_group(self) -> None:
        async with connection(self._pool) as conn:
            await conn.execute(
                "DELETE FROM kafka_groups WHERE name = %s AND incarnation = %s",
                [self._group, self._incarnation],
            )
        log.error("kafka_log.place_lost", group=self._group)


def _ignore(poll: asyncio.Future[Any]) -> None:
    """Ignore the last poll's records or error: the next subscriber gets them again."""
    if not poll.cancelled():
        poll.exception()


def _wait_s(failures: int) -> float:
    return min(_AGAIN_S[0] * 2 ** min(failures, 10), _AGAIN_S[1]) * random.uniform(0.5, 1.0)  # noqa: S311
