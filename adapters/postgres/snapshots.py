"""Snapshots of streams for the command pipeline: the latest of each. Implements commands.ports.Snapshots."""

from __future__ import annotations

from uuid import UUID

from adapters.postgres.pool import Pool, connection


class PostgresSnapshots:
    """One row a stream. It caches the fold, so a lost row costs only a longer load."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_snapshot(self, stream: UUID, fold_version: int) -> tuple[int, bytes] | None:
        """Return (revision, state), or None if there is none of this fold's version. Raises Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                "SELECT revision, state FROM snapshots WHERE stream = %s AND fold_version = %s",
                [stream, fold_version],
                binary=True,
            )
            row = await cursor.fetchone()
        return None if row is None else (row[0], row[1])

    async def write_snapshot(self, stream: UUID, revision: int, fold_version: int, state: bytes) -> None:
        """Keep this snapshot unless a later one exists. Raises Unavailable.

        A snapshot of a newer fold replaces any of an older; while both versions serve, the older one loads
        longer.
        """
        async with connection(self._pool) as conn:
            await conn.execute(
                """
                INSERT INTO snapshots (stream, revision, fold_version, state) VALUES (%s, %s, %s, %s)
                ON CONFLICT (stream) DO UPDATE
                SET revision = EXCLUDED.revision, fold_version = EXCLUDED.fold_version, state = EXCLUDED.state
                WHERE (EXCLUDED.fold_version, EXCLUDED.revision)
                    > (snapshots.fold_version, snapshots.revision)
                """,
                [stream, revision, fold_version, state],
            )
