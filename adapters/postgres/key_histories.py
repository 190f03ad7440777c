"""The events of a partition key, across its streams. Implements commands.process_ports.KeyHistories."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from adapters.postgres.pool import Pool, connection
from adapters.postgres.recorded_rows import fetch_recorded
from domain.log import PAGE_EVENTS
from domain.recorded import Recorded

_MAX_BIGINT = 2**63 - 1


class PostgresKeyHistories:
    """Reads the event store: the stream of that id by primary key, the other streams by an index."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_key(
        self,
        key: str,
        categories: Collection[str],
        types: Collection[str] | None,
        after: int,
        up_to: int | None,
    ) -> list[Recorded]:
        """See KeyHistories."""
        stream = None
        with suppress(ValueError):
            stream = UUID(key)
        clause = """
            (originator_id = %s OR (partition_key = %s AND partition_key <> originator_id::text))
            AND partition_key = %s AND category = ANY(%s) AND (%s::text[] IS NULL OR topic = ANY(%s))
            AND notification_id > %s AND notification_id <= %s ORDER BY notification_id
        """
        wanted = None if types is None else list(types)
        last = _MAX_BIGINT if up_to is None else up_to
        parameters = [stream, key, key, list(categories), wanted, wanted, after, last]
        async with connection(self._pool) as conn:
            return await fetch_recorded(conn, clause, parameters, PAGE_EVENTS, prepare=False)
