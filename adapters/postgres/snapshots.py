"""Snapshots for the command pipeline: the latest of each stream and fold. See commands.ports.Snapshots."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from adapters.postgres.pool import Pool, connection


class PostgresSnapshots:
    """One row a stream and fold; a cache of the fold, so a lost one costs only a longer load."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_snapshots(
        self, fold: str, fold_version: int, streams: Collection[UUID]
    ) -> dict[UUID, tuple[int, bytes]]:
        """Return (revision, content) by stream; only those of this fold's version. Raises Unavailable."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                SELECT stream, revision, content FROM fold_snapshots
                WHERE stream = ANY(%s) AND fold = %s AND fold_version = %s
                """,
                [list(streams), fold, fold_version],
                binary=True,
            )
            return {stream: (revision, content) for stream, revision, content in await cursor.fetchall()}

    async def write_snapshot(
        self, fold: str, fold_version: int, stream: UUID, revision: int, content: bytes
    ) -> None:
        """Keep this snapshot unless a later one is there. Raises Unavailable.

        A snapshot of a newer fold replaces any of an older; while both versions serve, the older one loads
        longer.
        """
        async with connection(self._pool) as conn:
            await conn.execute(
                """
                INSERT INTO fold_snapshots (fold, stream, revision, fold_version, content)
                VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT (stream, fold) DO UPDATE
                SET revision = EXCLUDED.revision, fold_version = EXCLUDED.fold_version,
                    content = EXCLUDED.content
                WHERE (EXCLUDED.fold_version, EXCLUDED.revision)
                    > (fold_snapshots.fold_version, fold_snapshots.revision)
                """,
                [fold, stream, revision, fold_version, content],
            )
