"""The relay's one Postgres session: it holds the lead, reads the log, and alone moves the checkpoint.

The lead is an advisory lock of this session, so it ends when the session does. A leader silent for SILENT_S
is frozen, and who stands by has its session ended: waking up, it finds it gone, and with it all means to move
the checkpoint. (`idle_session_timeout` did not do: the server was busy sending NOTIFYs to a client that did
not take them, and looked at no timer.)
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
"""A leader asks something more often than this, or is taken for frozen."""
CHUNK_BYTES: Final = 4_000_000
"""Where one read ends, however few events that are: an event may have 512,000 bytes."""
_PING_S: Final = 0.5
_DEADLINE_S: Final = SILENT_S


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to `place` is in Kafka, whose shards ended at `offsets` or later then."""

    reached: LogPosition
    offsets: Mapping[str, int]


class RelaySession:
    """Raises Unavailable from every method once the session is gone: open another one."""

    def __init__(self, connection: ImpatientConnection) -> None:
        self._connection = connection

    async def take_lead(self) -> bool:
        """Take the lead if nobody has it; it is held until this session ends. A frozen leader loses it."""
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
        """Let `wait` end early when something is appended."""
        await self._ask("LISTEN stored_events")

    async def layout(self) -> Layout:
        """Return the topics to send to."""
        with unavailable():
            return await fetch_layout(self._connection)

    async def checkpoint(self) -> Checkpoint:
        """Return how far the log is in Kafka."""
        [(position, event_id, offsets)] = await self._ask(
            """
            SELECT r.position, e.event_id, r.offsets
            FROM kafka_relay r LEFT JOIN stored_events e ON e.notification_id = r.position
            """
        )
        return Checkpoint(LogPosition(position, event_id), offsets)

    async def history(self, positions: Collection[int]) -> tuple[int, dict[int, UUID]]:
        """Return where the log ends, and the ids of the events at these positions that it has."""
        [(head,)] = await self._ask("SELECT coalesce(max(notification_id), 0) FROM stored_events")
        rows = await self._ask(
            "SELECT notification_id, event_id FROM stored_events WHERE notification_id = ANY(%s::bigint[])",
            [list(positions)],
        )
        return head, dict(cast(list[tuple[int, UUID]], rows))

    async def move_checkpoint(self, position: int, offsets: Mapping[str, int]) -> None:
        """Note that everything up to a position was acknowledged. It never goes back."""
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
        """Take their place from all groups, since Kafka lost records: they catch up from the event store."""
        await self._ask(
            """
            WITH forgotten AS (DELETE FROM kafka_groups)
            UPDATE kafka_relay SET offsets = '{}' RETURNING position
            """
        )

    async def read(self, after: LogPosition, limit: int) -> tuple[list[Row], LogPosition]:
        """Return what follows a place, in order, and the place up to which that is everything.

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
        """Wait until something is appended, but no longer than this."""
        with unavailable():
            async for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
                pass

    async def waiting_for(self, work: asyncio.Future[Any]) -> None:
        """Wait for other work, and keep the session alive meanwhile.

        Should the session end first, the work goes on, and nobody hears of its failure.
        """
        work.add_done_callback(_heard)
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


def _heard(work: asyncio.Future[Any]) -> None:
    # Else asyncio reports a failure that nobody waits for any more as lost.
    if not work.cancelled():
        work.exception()


@asynccontextmanager
async def relay_session(serving_conninfo: str) -> AsyncGenerator[RelaySession]:
    """Give a session that lasts for the block. Raises Unavailable."""
    with unavailable():
        connection = await ImpatientConnection.connect(
            patient_only_for_seconds(serving_conninfo), autocommit=True
        )
    try:
        yield RelaySession(connection)
    finally:
        await connection.close()
