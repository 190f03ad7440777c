"""The event store: appends through the queue, reads from the table. Implements domain.log.EventStore."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.batch_format import PackedAppend, pack_append
from adapters.postgres.pending_append import PendingInLoop, PendingInThread
from adapters.postgres.pool import Pool, connection
from adapters.postgres.recorded_rows import fetch_head, fetch_recorded
from domain.errors import EventTooLarge, Invalid, Unavailable
from domain.log import (
    MAX_APPEND_BYTES,
    MAX_EVENT_BYTES,
    PAGE_EVENTS,
    Appended,
    CommandKey,
    Metadata,
    Page,
    Slice,
    StoredAnswer,
)
from domain.log_clock import LogClock

DEADLINE_S = 5.0
"""The time after which a caller gets Unavailable, whatever the state of the flusher and the database."""


class PostgresEventStore:
    """The log's access for one process. `deadline_s` is the longest time until an append answers."""

    def __init__(self, queue: AppendQueue, pool: Pool, deadline_s: float = DEADLINE_S) -> None:
        self._queue = queue
        self._pool = pool
        self._deadline_s = deadline_s

    async def append(
        self,
        slices: Sequence[Slice],
        metadata: Metadata,
        command_key: CommandKey | None = None,
        not_after: datetime | None = None,
    ) -> Appended:
        """See domain.log.EventStore. Also raises Invalid for content that the log can't store (NUL)."""
        pending = PendingInLoop(self._pack(slices, metadata, command_key, not_after))
        self._queue.put(pending)
        try:
            return await pending.wait(self._deadline_s)
        except Unavailable:
            self._queue.unstick()
            raise

    def append_sync(
        self,
        slices: Sequence[Slice],
        metadata: Metadata,
        command_key: CommandKey | None = None,
        not_after: datetime | None = None,
    ) -> Appended:
        """Append from a thread: the same queue, the same answers. Blocks; never call it in an event loop."""
        pending = PendingInThread(self._pack(slices, metadata, command_key, not_after))
        self._queue.put(pending)
        try:
            return pending.wait(self._deadline_s)
        except Unavailable:
            self._queue.unstick()
            raise

    async def find_answer(self, command_id: UUID) -> StoredAnswer | None:
        """See domain.log.EventStore. Raises Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                SELECT fingerprint, status, body, revision, position
                FROM command_keys WHERE command_id = %s
                """,
                [command_id],
                binary=True,
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        fingerprint, status, body, revision, position = row
        return StoredAnswer(fingerprint, status, msgspec.json.decode(body), revision, position)

    async def read_stream(
        self, stream: UUID, after: int = 0, up_to: int | None = None, limit: int = PAGE_EVENTS
    ) -> Page:
        """See domain.log.EventStore. Raises Unavailable."""
        clause = """
            originator_id = %s AND originator_version > %s AND originator_version <= %s
            ORDER BY originator_version
        """
        last = _MAX_BIGINT if up_to is None else up_to
        async with connection(self._pool) as conn:
            return await fetch_recorded(conn, clause, [stream, after, last], limit)

    async def read_streams(self, after: Mapping[UUID, int], limit: int = PAGE_EVENTS) -> Page:
        """See domain.log.EventStore. Raises Unavailable."""
        if len(after) == 1:
            ((stream, revision),) = after.items()
            return await self.read_stream(stream, revision, limit=limit)
        # Each stream's next events by its own index; no stream can give the page more than the page holds.
        clause = """
            notification_id IN (
                SELECT next.notification_id
                FROM unnest(%s::uuid[], %s::bigint[]) AS wanted (stream, after)
                CROSS JOIN LATERAL (
                    SELECT e.notification_id FROM stored_events e
                    WHERE e.originator_id = wanted.stream AND e.originator_version > wanted.after
                    ORDER BY e.originator_version LIMIT %s
                ) next
            )
            ORDER BY notification_id
        """
        async with connection(self._pool) as conn:
            parameters = [list(after), list(after.values()), limit + 1]
            return await fetch_recorded(conn, clause, parameters, limit)

    async def read_log(
        self,
        after_position: int = 0,
        limit: int = PAGE_EVENTS,
        *,
        up_to: int | None = None,
        categories: Collection[str] | None = None,
        type: str | None = None,
        actor: str | None = None,
        stream: UUID | None = None,
        correlation_id: UUID | None = None,
    ) -> Page:
        """See domain.log.EventStore. Raises Unavailable."""
        filters: list[tuple[LiteralString, Any]] = [
            ("notification_id > %s", after_position),
            ("category = ANY(%s)", None if categories is None else list(categories)),
            ("topic = %s", type),
            ("actor = %s", actor),
            ("originator_id = %s", stream),
            ("correlation_id = %s", correlation_id),
            ("notification_id <= %s", up_to),
        ]
        given: list[tuple[LiteralString, Any]] = [pair for pair in filters if pair[1] is not None]
        conditions: list[LiteralString] = [condition for condition, _ in given]
        clause = " AND ".join(conditions) + " ORDER BY notification_id"
        async with connection(self._pool) as conn:
            values = [value for _, value in given]
            return await fetch_recorded(conn, clause, values, limit, prepare=False)

    async def head(self) -> int:
        """See domain.log.EventStore. Raises Unavailable."""
        async with connection(self._pool) as conn:
            return await fetch_head(conn)

    async def clock(self) -> LogClock:
        """See domain.log.EventStore. Raises Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                SELECT clock_timestamp(),
                    (SELECT recorded_at FROM stored_events ORDER BY notification_id DESC LIMIT 1)
                """
            )
            row = await cursor.fetchone()
        assert row is not None
        return LogClock(*row)

    def _pack(
        self,
        slices: Sequence[Slice],
        metadata: Metadata,
        command_key: CommandKey | None,
        not_after: datetime | None,
    ) -> PackedAppend:
        _check_limits(slices)
        try:
            packed = pack_append(self._queue.next_ticket(), slices, metadata, command_key, not_after)
        except UnicodeEncodeError as error:
            raise Invalid("unstorable", f"the log can't store this: {error}") from error
        if packed.size > MAX_APPEND_BYTES:
            raise EventTooLarge(f"the append has {packed.size} bytes, more than {MAX_APPEND_BYTES}: split it")
        return packed


_MAX_BIGINT = 2**63 - 1


def _check_limits(slices: Sequence[Slice]) -> None:
    if not slices:
        raise Invalid("no_stream", "an append must name at least one stream")
    for slice_ in slices:
        for event in slice_.events:
            if len(event.data) > MAX_EVENT_BYTES:
                raise EventTooLarge(
                    f"the event {event.type} has {len(event.data)} bytes, over the limit of {MAX_EVENT_BYTES}"
                )
            # jsonb can't hold NUL, so neither the ledger view nor a read model could show it.
            if b"\\u0000" in event.data and _holds_nul(event.data):
                raise Invalid(
                    "unstorable", f"a text of the event {event.type} holds a NUL character: remove it"
                )


def _holds_nul(data: bytes) -> bool:
    # An escaped backslash before u0000 is a text about NUL, not a NUL.
    return b"\\u0000" in data.replace(b"\\\\", b"")
