"""The document store on Postgres: JSONB in one table, a bulk write in one call.

Every read is planned anew, because a plan kept from when the table was small would scan all of it later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import sql

from adapters.postgres.document_indexes import LOWEST_NUMBER, index_names
from adapters.postgres.document_queries import count_statement, find_statement
from adapters.postgres.generations import PostgresGenerations
from adapters.postgres.pool import connection
from domain.errors import Unavailable
from projections.documents import (
    Change,
    Condition,
    Found,
    Generation,
    GenerationGone,
    Parked,
    Place,
    Sort,
    Stored,
    Unwritable,
)
from projections.view import Document, View

_decode = msgspec.json.Decoder(Document).decode
_decode_parked = msgspec.json.Decoder(Parked).decode


class PostgresDocuments(PostgresGenerations):
    """Implements projections.documents.DocumentStore."""

    async def get_many(self, generation: Generation, ids: Collection[str]) -> dict[str, Stored]:
        """See DocumentStore."""
        rows = await self._fetch(
            """
            SELECT id, seen, body::text, listed, parked::text FROM documents
            WHERE view = %s AND generation = %s AND id = ANY (%s)
            """,
            [generation.view, generation.number, list(ids)],
        )
        return {stored.id: stored for stored in map(_stored, rows)}

    async def write(
        self,
        generation: Generation,
        changes: Sequence[Change],
        entries: Sequence[tuple[str, Document]] = (),
        watermarks: Mapping[str, int] | None = None,
    ) -> frozenset[str]:
        """See DocumentStore. One statement, so all of it is visible at once."""
        parameters = [
            generation.view,
            generation.number,
            _json(map(_as_row, changes)),
            # Sorted by id. Two documents with the same id in a batch would write one row twice, which is an
            # error.
            _json({"id": id, "body": body} for id, body in dict(entries).items()),
            msgspec.json.encode(watermarks or {}).decode(),
        ]
        async with connection(self._pool) as conn:
            try:
                cursor = await conn.execute(_WRITE, parameters, prepare=True)
            except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
                raise Unwritable(f"Postgres can't store this: {error}") from error
            (row,) = await cursor.fetchall()
        alive, lost = row
        if not alive:
            raise GenerationGone(f"generation {generation.number} of {generation.view} is retired")
        return frozenset(lost)

    async def put_expiring(
        self, collection: str, documents: Mapping[str, Document], expires_at: datetime
    ) -> None:
        """See DocumentStore."""
        await self._execute(
            """
            INSERT INTO documents (view, generation, id, seen, handled, listed, expires_at, body)
            SELECT %s, 0, d.id, 0, 0, true, %s, d.body
            FROM jsonb_to_recordset(%s::jsonb) AS d (id text, body jsonb)
            ON CONFLICT (view, generation, id)
            DO UPDATE SET expires_at = excluded.expires_at, body = excluded.body
            """,
            [collection, expires_at, _json({"id": id, "body": body} for id, body in documents.items())],
        )

    async def find(
        self,
        generation: Generation,
        where: Sequence[Condition],
        sort: Sort,
        after: Place | None,
        limit: int,
    ) -> list[Found]:
        """See DocumentStore."""
        rows = await self._fetch(find_statement(generation, where, sort, after, limit), None)
        return [
            Found(_decode(body), Place(None if key == LOWEST_NUMBER else key, id)) for body, key, id in rows
        ]

    async def count(self, generation: Generation, where: Sequence[Condition]) -> int:
        """See DocumentStore."""
        ((count,),) = await self._fetch(count_statement(generation, where), None)
        return count

    async def parked(self, generation: Generation) -> list[Stored]:
        """See DocumentStore."""
        rows = await self._fetch(
            """
            SELECT id, seen, body::text, listed, parked::text FROM documents
            WHERE view = %s AND generation = %s AND parked IS NOT NULL
            ORDER BY (parked ->> 'position')::bigint, id
            """,
            [generation.view, generation.number],
        )
        return [_stored(row) for row in rows]

    async def ensure_indexes(self, views: Sequence[View]) -> None:
        """Check that migrate made the indexes, since serving processes may not. Raises Unavailable."""
        query = "SELECT indexname::text FROM pg_indexes WHERE tablename = 'documents'"
        rows = await self._fetch(query, None)
        if missing := sorted(index_names(views) - {name for (name,) in rows}):
            raise Unavailable(f"indexes are missing ({', '.join(missing)}): run `beatledger migrate`")

    async def sweep(self) -> None:
        """See DocumentStore."""
        await self._execute("DELETE FROM documents WHERE expires_at <= now()", None)

    async def _execute(self, statement: LiteralString, parameters: Sequence[Any] | None) -> None:
        async with connection(self._pool) as conn:
            await conn.execute(statement, parameters, prepare=False)

    async def _fetch(
        self, statement: LiteralString | sql.Composed, parameters: Sequence[Any] | None
    ) -> list[tuple[Any, ...]]:
        async with connection(self._pool) as conn:
            return await (await conn.execute(statement, parameters, prepare=False)).fetchall()


# This write waits for the disk. Without that, a killed Postgres came back without writes on which its
# projector had built further, and their streams parked at the gap.
_WRITE = "SELECT alive, lost FROM write_documents(%s, %s, %s::jsonb, %s::jsonb, %s::jsonb)"


def _as_row(change: Change) -> dict[str, Any]:
    before, after = change.before, change.after
    return {
        "id": after.id,
        "was_seen": before.seen,
        "was_handled": before.handled,
        "seen": after.seen,
        "handled": after.handled,
        "listed": after.listed,
        "body": after.body,
        "parked": after.parked,
    }


def _stored(row: tuple[Any, ...]) -> Stored:
    id, seen, body, listed, parked = row
    return Stored(
        id,
        seen,
        None if body is None else _decode(body),
        listed,
        None if parked is None else _decode_parked(parked),
    )


def _json(rows: Iterable[dict[str, Any]]) -> str:
    try:
        return msgspec.json.encode(list(rows)).decode()
    except (TypeError, ValueError) as error:
        raise Unwritable(f"not JSON: {error}") from error
