"""The log port on Postgres alone: groups follow the event store by position. Implements domain.log.Log.

A reader by position misses no event: positions are assigned under a lock that is held until the commit is
visible, so a reader that sees position n can see everything below it. The whole log is one shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import structlog
from psycopg import AsyncConnection

from adapters.postgres.flush_bell import FlushBell
from adapters.postgres.pool import Pool, connection
from adapters.postgres.recorded_rows import fetch_head, fetch_recorded
from domain.errors import NotFound, Unavailable
from domain.log import PAGE_EVENTS, Batch, Offsets

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

SHARD = "0"
_POLL_S = (0.005, 0.25)
"""The first wait of a reader that has caught up, and the longest; it doubles in between."""
_AWAY_S = 2.0
"""The longest wait between tries while Postgres is unreachable."""
_STRIDE = 10
"""A query reads this many times `limit` positions, because few of them may be of the reader's categories."""


class PostgresLog:
    """Consumer groups over the event store of the same database; this process's appends ring `bell`."""

    def __init__(self, pool: Pool, bell: FlushBell) -> None:
        self._pool = pool
        self._bell = bell

    @asynccontextmanager
    async def subscribe(
        self, group: str, categories: Collection[str], limit: int = PAGE_EVENTS
    ) -> AsyncGenerator[TailSubscription]:
        """See domain.log.Log. Raises NotFound for a group that was never started, Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute("SELECT position, epoch FROM log_groups WHERE name = %s", [group])
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"the consumer group {group} was never started")
        with self._bell.listen() as rung:
            yield TailSubscription(self._pool, rung, group, list(categories), limit, *row)

    async def end_offsets(self, categories: Collection[str]) -> Offsets:
        """See domain.log.Log. Raises Unavailable."""
        async with connection(self._pool) as conn:
            return {SHARD: await fetch_head(conn)}

    async def start_group(self, group: str, offsets: Offsets) -> None:
        """See domain.log.Log. Members of the old group can't commit any more. Raises Unavailable."""
        async with connection(self._pool) as conn:
            await conn.execute(
                """
                INSERT INTO log_groups (name, position) VALUES (%s, %s)
                ON CONFLICT (name) DO UPDATE
                SET position = EXCLUDED.position, epoch = log_groups.epoch + 1, committed_at = now()
                """,
                [group, offsets[SHARD]],
            )

    async def group_exists(self, group: str) -> bool:
        """See domain.log.Log. Raises Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute("SELECT 1 FROM log_groups WHERE name = %s", [group])
            return await cursor.fetchone() is not None

    def shard_of(self, category: str, partition_key: str) -> str:
        """See domain.log.Log: always the one shard."""
        return SHARD


class TailSubscription:
    """One reader of a group. It waits while Postgres is unreachable; it never skips events."""

    def __init__(
        self,
        pool: Pool,
        rung: asyncio.Event,
        group: str,
        categories: list[str],
        limit: int,
        position: int,
        epoch: int,
    ) -> None:
        self._pool = pool
        self._rung = rung
        self._group = group
        self._categories = categories
        self._limit = limit
        self._position = position
        self._committed = position
        self._epoch = epoch

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """See domain.log.Subscription."""
        wait_s = _POLL_S[0]
        while True:
            self._rung.clear()
            batch = await self._retry_while_unavailable(self._read)
            if batch is not None:
                wait_s = _POLL_S[0]
                self._position = batch.reached[SHARD]
                yield batch
                continue
            with suppress(TimeoutError):
                # Not wait_for(): in Python 3.11 it swallows a cancellation that arrives together with the
                # ring.
                async with asyncio.timeout(wait_s):
                    await self._rung.wait()
            wait_s = min(wait_s * 2, _POLL_S[1])

    @property
    def reached(self) -> Mapping[str, int]:
        """See domain.log.Subscription."""
        return {SHARD: self._position}

    async def commit(self, batch: Batch | None = None) -> None:
        """See domain.log.Subscription. Waits while Postgres is unreachable.

        Raises NotFound when the group was restarted meanwhile: subscribe again.
        """
        position = self._position if batch is None else batch.offsets[SHARD]
        if self._committed >= position:
            return
        if not await self._retry_while_unavailable(partial(self._write_checkpoint, position)):
            raise NotFound(f"the consumer group {self._group} was restarted: subscribe again")
        self._committed = position

    async def _read(self, conn: AsyncConnection[Any]) -> Batch | None:
        """Return the next batch, without events if only other categories follow; None at the log's end."""
        head = await fetch_head(conn)
        if head <= self._position:
            return None
        # Everything up to the head is visible by now, so a second statement can't miss any of it.
        until = min(head, self._position + self._limit * _STRIDE)
        clause = """
            notification_id > %s AND notification_id <= %s AND category = ANY(%s)
            ORDER BY notification_id
        """
        page = await fetch_recorded(conn, clause, [self._position, until, self._categories], self._limit)
        reached = page[-1].position if page.more else until
        return Batch(tuple(page), {SHARD: reached}, {SHARD: reached}, page.bytes)

    async def _write_checkpoint(self, position: int, conn: AsyncConnection[Any]) -> bool:
        cursor = await conn.execute(
            """
            UPDATE log_groups SET position = greatest(position, %s), committed_at = now()
            WHERE name = %s AND epoch = %s
            """,
            [position, self._group, self._epoch],
        )
        return cursor.rowcount == 1

    async def _retry_while_unavailable(self, ask: Callable[[AsyncConnection[Any]], Awaitable[_T]]) -> _T:
        """Call until Postgres answers."""
        wait_s = _POLL_S[0]
        while True:
            try:
                async with connection(self._pool) as conn:
                    return await ask(conn)
            except Unavailable as away:
                if wait_s == _POLL_S[0]:
                    log.warning("tail.database_away", group=self._group, error=str(away.__cause__))
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 4, _AWAY_S)
