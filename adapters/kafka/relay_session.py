"""The relay's one Postgres session: it holds the lead, reads the log, and moves the checkpoint.

The lead is an advisory lock of this session, so it ends with the session. A leader silent for SILENT_S is
frozen, and a standby terminates its session. When the frozen leader wakes up, its session is gone, so it
can't move the checkpoint. (`idle_session_timeout` did not work: the server was busy sending NOTIFYs to a
client that did not read them, and checked no timer.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, cast
from uuid import UUID

from psycopg.types.json import Jsonb

from adapters.kafka.cloud_events import LogPosition, Row
from adapters.kafka.layout import Layout, fetch_layout
from adapters.postgres.pool import ImpatientConnection, patient_only_for_seconds, unavailable
from domain.errors import Unavailable

_LEAD: Final = 0x6265_6174_0003
SILENT_S: Final = 3.0
"""A leader queries more often than this; after a longer silence it counts as frozen."""
CHUNK_BYTES: Final = 4_000_000
"""The size at which one read ends, however few events it has: an event may have 512,000 bytes."""
_PING_S: Final = 0.5
_DEADLINE_S: Final = SILENT_S


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Kafka has everything up to `reached`; its shards ended at `offsets` or later then."""

    reached: LogPosition
    offsets: Mapping[str, int]


class RelaySession:
    """Every method raises Unavailable once the session is gone: open another one."""

    def __init__(self, connection: ImpatientConnection) -> None:
        self._connection = connection

    async def take_lead(self) -> bool:
        """Take the lead if it is free; the lead lasts until this session ends. A frozen leader loses it."""
        [(taken,)] = await self._ask("SELECT pg_try_advisory_lock(%s)", [_LEAD])
        if not taken:
            await self._ask(
                """
                SELECT pg_terminate_backend(a.pid)
                FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s AND l.granted
                AND a.datname = current_database()
                AND a.state_change < clock_timestamp() - make_interval(secs => %s)
                """,
                [_LEAD >> 32, _LEAD & 0xFFFF_FFFF, SILENT_S],
            )
        return taken

    async def listen(self) -> None:
        """Make `wait` return when an event is appended."""
        await self._ask("LISTEN stored_events")

    async def layout(self) -> Layout:
        """Return the topics of the installation."""
        with unavailable():
            return await fetch_layout(self._connection)

    async def checkpoint(self) -> Checkpoint:
        """Return the position up to which Kafka has the log."""
        [(position, event_id, offsets)] = await self._ask(
            """
            SELECT r.position, e.event_id, r.offsets
            FROM kafka_relay r LEFT JOIN stored_events e ON e.notification_id = r.position
            """
        )
        return Checkpoint(LogPosition(position, event_id), offsets)

    async def history(self, positions: Collection[int]) -> tuple[int, dict[int, UUID]]:
        """Return the last position of the log, and the event ids at those of the positions that exist."""
        [(head,)] = await self._ask("SELECT coalesce(max(notification_id), 0) FROM stored_events")
        rows = await self._ask(
            "SELECT notification_id, event_id FROM stored_events WHERE notification_id = ANY(%s::bigint[])",
            [list(positions)],
        )
        return head, dict(cast(list[tuple[int, UUID]], rows))

    async def move_checkpoint(self, position: int, offsets: Mapping[str, int]) -> None:
        """Record that everything up to a position was acknowledged. The checkpoint never moves back."""
        moved = await self._ask(
            """
            UPDATE kafka_relay SET position = %s, offsets = %s, moved_at = now()
            WHERE position <= %s RETURNING position
            """,
            [position, Jsonb(dict(offsets)), position],
        )
        if not moved:
            raise Unavailable(f"the relay's checkpoint is already beyond {position}: begin again from it")

    async def forget_groups(self) -> None:
        """Reset all groups, because Kafka lost records: their readers catch up from the event store."""
        await self._ask(
            """
            WITH forgotten AS (DELETE FROM kafka_groups)
            UPDATE kafka_relay SET offsets = '{}' RETURNING position
            """
        )

    async def read(self, after: LogPosition, limit: int) -> tuple[list[Row], LogPosition]:
        """Return the events after a position, in order, and the position up to which they are complete.

        It ends after `limit` events, or with the one that reaches CHUNK_BYTES (known without reading them).
        Events without a category are those of the library's own Application: no topic carries them.
        """
        rows = await self._ask(
            """
            SELECT notification_id, originator_id, originator_version, category, partition_key, event_id,
                topic, schema_version, state, recorded_at, actor, correlation_id, causation_id, command_id,
                traceparent
            FROM (
                SELECT *, sum(octet_length(state)) OVER (
                    ORDER BY notification_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                ) - octet_length(state) AS bytes_before
                FROM stored_events WHERE notification_id > %s ORDER BY notification_id LIMIT %s
            ) AS following
            WHERE bytes_before < %s ORDER BY notification_id
            """,
            [after.position, limit, CHUNK_BYTES],
        )
        reached = LogPosition(rows[-1][0], rows[-1][5]) if rows else after
        return [cast(Row, row) for row in rows if row[3] is not None], reached

    async def wait(self, timeout_s: float) -> None:
        """Wait until an event is appended, at most this long."""
        with unavailable():
            async for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
                pass

    async def waiting_for(self, work: asyncio.Future[Any]) -> None:
        """Wait for other work, and keep the session alive meanwhile.

        If the session ends first, the work continues, and its failure is ignored.
        """
        work.add_done_callback(_ignore)
        while not work.done():
            await asyncio.wait([work], timeout=_PING_S)
            if not work.done():
                await self._ask("SELECT")

    async def _ask(self, query: LiteralString, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with unavailable():
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    cursor = await self._connection.execute(query, parameters, binary=True)
                    return await cursor.fetchall() if cursor.description else []
            except TimeoutError as error:
                raise Unavailable("Postgres did not answer in time") from error


def _ignore(work: asyncio.Future[Any]) -> None:
    # Without this asyncio would log the failure as never retrieved.
    if not work.cancelled():
        work.exception()


@asynccontextmanager
async def relay_session(serving_conninfo: str) -> AsyncGenerator[RelaySession]:
    """Yield a session for the block. Raises Unavailable."""
    with unavailable():
        connection = await ImpatientConnection.connect(
            patient_only_for_seconds(serving_conninfo), autocommit=True
        )
    try:
        yield RelaySession(connection)
    finally:
        await connection.close()
