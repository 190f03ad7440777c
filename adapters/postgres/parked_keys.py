"""Parked keys of process managers in Postgres. Implements commands.process_ports.ParkedKeys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, LiteralString

from adapters.postgres.pool import Pool, connection
from commands.process_ports import ParkedKey


class PostgresParkedKeys:
    """On the table process_parked, and the failed rows of process_deadlines."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def park(self, manager: str, key: str, position: int, error: str) -> None:
        """See ParkedKeys."""
        await self._fetch(
            """
            INSERT INTO process_parked AS p (manager, key, position, up_to, error)
            VALUES (%(manager)s, %(key)s, %(position)s, %(position)s, %(error)s)
            ON CONFLICT (manager, key) DO UPDATE SET position = excluded.position,
                up_to = greatest(p.up_to, excluded.up_to), error = excluded.error
            RETURNING key
            """,
            {"manager": manager, "key": key, "position": position, "error": error},
        )

    async def extend(self, manager: str, key: str, up_to: int) -> bool:
        """See ParkedKeys."""
        rows = await self._fetch(
            """
            UPDATE process_parked SET up_to = greatest(up_to, %(up_to)s)
            WHERE manager = %(manager)s AND key = %(key)s RETURNING key
            """,
            {"manager": manager, "key": key, "up_to": up_to},
        )
        return bool(rows)

    async def among(self, manager: str, keys: Collection[str]) -> set[str]:
        """See ParkedKeys."""
        rows = await self._fetch(
            "SELECT key FROM process_parked WHERE manager = %(manager)s AND key = ANY(%(keys)s)",
            {"manager": manager, "keys": list(keys)},
        )
        return {key for (key,) in rows}

    async def unpark(self, manager: str, key: str, up_to: int) -> bool:
        """See ParkedKeys."""
        rows = await self._fetch(
            """
            DELETE FROM process_parked
            WHERE manager = %(manager)s AND key = %(key)s AND up_to <= %(up_to)s RETURNING key
            """,
            {"manager": manager, "key": key, "up_to": up_to},
        )
        return bool(rows)

    async def list(self, manager: str) -> list[ParkedKey]:
        """See ParkedKeys."""
        rows = await self._fetch(
            """
            (SELECT key, position, up_to, error, parked_at, NULL AS kind FROM process_parked
            WHERE manager = %(manager)s ORDER BY position, key)
            UNION ALL
            (SELECT key, position, position, error, parked_at, kind FROM process_deadlines
            WHERE manager = %(manager)s AND error IS NOT NULL ORDER BY position, key, kind)
            """,
            {"manager": manager},
        )
        return [ParkedKey(*row) for row in rows]

    async def _fetch(self, statement: LiteralString, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        async with connection(self._pool) as conn:
            return await (await conn.execute(statement, values)).fetchall()
