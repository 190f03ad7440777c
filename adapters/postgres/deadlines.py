"""Durable timers of process managers in Postgres. Implements commands.process_ports.Deadlines.

Only the database's clock is used, both to set deadlines and to find those that have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from adapters.postgres.clock_steps import with_delays_from_now
from adapters.postgres.pool import Pool, connection
from commands.following import Due, SetDeadline
from domain.recorded import Recorded

LEASE_S = 60.0
"""The time for which a claimed deadline belongs to one runner; a runner that died delays it by this."""

_COUNT_FROM_NOW = with_delays_from_now("process_deadlines", due="due_at", waiting="error IS NULL")
_CLAIM: LiteralString = """
    , due AS (
        SELECT manager, key, kind FROM process_deadlines AS d
        WHERE manager = %(manager)s AND error IS NULL AND due_at <= clock_timestamp()
            AND (
                lease_until IS NULL OR lease_until < clock_timestamp()
                OR lease_until > clock_timestamp() + make_interval(secs => %(lease_s)s + 1)
            )
            AND NOT EXISTS (
                SELECT FROM process_parked AS p WHERE p.manager = d.manager AND p.key = d.key
            )
        ORDER BY due_at LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE process_deadlines AS d
    SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM due WHERE (d.manager, d.key, d.kind) = (due.manager, due.key, due.kind)
    RETURNING d.key, d.kind, d.due_at, d.position, d.turn, d.event_id, d.correlation_id, d.traceparent
"""


class PostgresDeadlines:
    """On the table process_deadlines."""

    def __init__(self, pool: Pool, lease_s: float = LEASE_S) -> None:
        self._pool = pool
        self._lease_s = lease_s

    async def set(
        self, manager: str, key: str, cause: Recorded | Due, deadlines: Sequence[SetDeadline]
    ) -> None:
        """See Deadlines."""
        # The least of both, so that a delay from an event ahead of the clock counts from now.
        await self._fetch(
            """
            INSERT INTO process_deadlines AS d
                (manager, key, kind, due_at, counts_from, position, turn, event_id, correlation_id,
                    traceparent)
            SELECT %(manager)s, %(key)s, n.kind,
                least(%(at)s, now()) + n.after_s * interval '1 second', least(%(at)s, now()),
                %(position)s, %(turn)s, %(event_id)s, %(correlation_id)s, %(traceparent)s
            FROM unnest(%(kinds)s::text[], %(after_s)s::float8[]) AS n (kind, after_s)
            ON CONFLICT (manager, key, kind) DO UPDATE SET due_at = excluded.due_at,
                counts_from = excluded.counts_from, position = excluded.position, turn = excluded.turn,
                event_id = excluded.event_id,
                correlation_id = excluded.correlation_id, traceparent = excluded.traceparent,
                lease_until = NULL, error = NULL, parked_at = NULL
            WHERE (d.position, d.turn) < (excluded.position, excluded.turn)
            RETURNING kind
            """,
            {
                "manager": manager,
                "key": key,
                "at": cause.due_at if isinstance(cause, Due) else cause.recorded_at,
                "position": cause.position,
                "turn": cause.turn + 1 if isinstance(cause, Due) else 0,
                "event_id": cause.event_id,
                "correlation_id": cause.correlation_id,
                "traceparent": cause.traceparent,
                "kinds": [deadline.kind for deadline in deadlines],
                "after_s": [float(deadline.after_s) for deadline in deadlines],
            },
        )

    async def clear(self, manager: str, key: str, cause: Recorded | Due, kinds: Sequence[str]) -> None:
        """See Deadlines."""
        await self._fetch(
            """
            DELETE FROM process_deadlines
            WHERE manager = %(manager)s AND key = %(key)s AND kind = ANY(%(kinds)s)
                AND position <= %(position)s
            RETURNING kind
            """,
            {"manager": manager, "key": key, "kinds": list(kinds), "position": cause.position},
        )

    async def claim(self, manager: str, limit: int) -> list[Due]:
        """See Deadlines."""
        # A lease longer than any is of a clock that has stepped back since.
        rows = await self._fetch(
            _COUNT_FROM_NOW + _CLAIM,
            {"manager": manager, "limit": limit, "lease_s": self._lease_s},
        )
        return sorted((Due(*row) for row in rows), key=lambda due: due.due_at)

    async def finish(self, manager: str, due: Due) -> None:
        """See Deadlines."""
        await self._fetch(_FINISH, _named(manager, due))

    async def park(self, manager: str, due: Due, error: str) -> None:
        """See Deadlines."""
        await self._fetch(_PARK, {**_named(manager, due), "error": error})

    async def retry_parked(self, manager: str) -> int:
        """See Deadlines."""
        rows = await self._fetch(
            """
            UPDATE process_deadlines SET error = NULL, parked_at = NULL
            WHERE manager = %(manager)s AND error IS NOT NULL RETURNING kind
            """,
            {"manager": manager},
        )
        return len(rows)

    async def _fetch(self, statement: LiteralString, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        async with connection(self._pool) as conn:
            return await (await conn.execute(statement, values)).fetchall()


# Leaves a deadline that a later cause has set again.
_FINISH: LiteralString = """
    DELETE FROM process_deadlines
    WHERE manager = %(manager)s AND key = %(key)s AND kind = %(kind)s
        AND position = %(position)s AND turn = %(turn)s
    RETURNING kind
"""
_PARK: LiteralString = """
    UPDATE process_deadlines SET error = %(error)s, parked_at = clock_timestamp(), lease_until = NULL
    WHERE manager = %(manager)s AND key = %(key)s AND kind = %(kind)s
        AND position = %(position)s AND turn = %(turn)s
    RETURNING kind
"""


def _named(manager: str, due: Due) -> dict[str, Any]:
    return {
        "manager": manager,
        "key": due.key,
        "kind": due.kind,
        "position": due.position,
        "turn": due.turn,
    }
