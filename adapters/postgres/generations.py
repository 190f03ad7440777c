"""The generations of a view, and which of them serves."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from adapters.postgres.pool import Pool, connection
from projections.documents import Generation, Standing

_CHUNK = 5_000
"""Documents deleted by one statement: a bounded amount of work, well within a connection's deadline."""


class PostgresGenerations:
    """Generations and watermarks, as defined by projections.documents.DocumentStore."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def standing(self, view: str) -> Standing | None:
        """See DocumentStore."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                SELECT g.number, g.version, w.shard, w.position
                FROM view_generations g
                LEFT JOIN view_watermarks w ON w.view = g.view AND w.generation = g.number
                WHERE g.view = %s AND g.state = 'serving'
                """,
                [view],
            )
            rows = await cursor.fetchall()
        if not rows:
            return None
        watermarks = {shard: position for _, _, shard, position in rows if shard is not None}
        return Standing(Generation(view, rows[0][0], rows[0][1], "serving"), watermarks)

    async def generations(self, view: str) -> list[Generation]:
        """See DocumentStore."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                "SELECT view, number, version, state FROM view_generations WHERE view = %s ORDER BY number",
                [view],
            )
            return [Generation(*row) for row in await cursor.fetchall()]

    async def watermarks(self, generation: Generation) -> dict[str, int]:
        """See DocumentStore."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                "SELECT shard, position FROM view_watermarks WHERE view = %s AND generation = %s",
                [generation.view, generation.number],
            )
            return dict(await cursor.fetchall())

    async def begin(self, view: str, version: int) -> Generation:
        """See DocumentStore."""
        async with connection(self._pool) as conn, conn.transaction():
            await _lock(conn, view)
            cursor = await conn.execute(
                """
                SELECT view, number, version, state FROM view_generations
                WHERE view = %s AND version = %s AND state IN ('building', 'following')
                """,
                [view, version],
            )
            if row := await cursor.fetchone():
                return Generation(*row)
            cursor = await conn.execute(
                """
                INSERT INTO view_generations (view, version) VALUES (%s, %s)
                RETURNING view, number, version, state
                """,
                [view, version],
            )
            (row,) = await cursor.fetchall()
            return Generation(*row)

    async def follow(self, generation: Generation) -> None:
        """See DocumentStore."""
        async with connection(self._pool) as conn:
            await conn.execute(
                """
                UPDATE view_generations SET state = 'following', changed_at = now()
                WHERE view = %s AND number = %s AND state = 'building'
                """,
                [generation.view, generation.number],
            )

    async def switch(self, generation: Generation) -> bool:
        """See DocumentStore."""
        async with connection(self._pool) as conn, conn.transaction():
            await _lock(conn, generation.view)
            states = await _states(conn, generation.view)
            serving = next((number for number, state in states.items() if state == "serving"), None)
            if serving == generation.number:
                return True
            if states.get(generation.number) != "following":
                return False
            if serving is not None:
                await _keep_writers_away(conn, generation.view, serving)
                if await _is_behind(conn, generation, serving):
                    return False
                await _set_state(conn, generation.view, serving, "retired")
            await _set_state(conn, generation.view, generation.number, "serving")
            return True

    async def drop_retired(self, older_than_s: float) -> None:
        """See DocumentStore."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                SELECT view, number FROM view_generations
                WHERE state = 'retired' AND changed_at <= now() - make_interval(secs => %s)
                """,
                [older_than_s],
            )
            retired = await cursor.fetchall()
        for view, number in retired:
            while await self._drop_some(view, number):
                pass

    async def _drop_some(self, view: str, number: int) -> bool:
        """Delete a chunk of documents, and after the last the generation; return True if more are left."""
        async with connection(self._pool) as conn:
            cursor = await conn.execute(
                """
                DELETE FROM documents WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM documents WHERE view = %s AND generation = %s LIMIT %s
                ))
                """,
                [view, number, _CHUNK],
            )
            if cursor.rowcount == _CHUNK:
                return True
            async with conn.transaction():
                for table in (b"view_watermarks WHERE generation", b"view_generations WHERE number"):
                    await conn.execute(b"DELETE FROM " + table + b" = %s AND view = %s", [number, view])
        return False


async def _lock(conn: AsyncConnection[Any], view: str) -> None:
    """Let only one at a time change a view's generations, until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"view_generations {view}"])


async def _keep_writers_away(conn: AsyncConnection[Any], view: str, number: int) -> None:
    """Wait for the writes to a generation that are under way, and let no other begin until we commit.

    One that came in between the comparison and the switch would be seen, and then not be seen any more.
    """
    # write_documents() holds this row FOR KEY SHARE; whoever waits for us finds the generation retired.
    await conn.execute(
        "SELECT 1 FROM view_generations WHERE view = %s AND number = %s FOR UPDATE", [view, number]
    )


async def _states(conn: AsyncConnection[Any], view: str) -> dict[int, str]:
    cursor = await conn.execute("SELECT number, state FROM view_generations WHERE view = %s", [view])
    return dict(await cursor.fetchall())


async def _is_behind(conn: AsyncConnection[Any], generation: Generation, serving: int) -> bool:
    cursor = await conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM view_watermarks old
            LEFT JOIN view_watermarks new
                ON new.view = old.view AND new.shard = old.shard AND new.generation = %s
            WHERE old.view = %s AND old.generation = %s AND coalesce(new.position, 0) < old.position
        )
        """,
        [generation.number, generation.view, serving],
    )
    (row,) = await cursor.fetchall()
    return bool(row[0])


async def _set_state(conn: AsyncConnection[Any], view: str, number: int, state: str) -> None:
    await conn.execute(
        "UPDATE view_generations SET state = %s, changed_at = now() WHERE view = %s AND number = %s",
        [state, view, number],
    )
