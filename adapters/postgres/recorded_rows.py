"""Reads rows of the log as Recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from domain.recorded import Recorded

# In the order of Recorded's fields. Events without a category are those of the library's own Application.
_SELECT: LiteralString = """
    SELECT notification_id, originator_id, originator_version, category, partition_key, event_id, topic,
        schema_version, state, recorded_at, actor, correlation_id, causation_id, command_id, traceparent
    FROM stored_events WHERE category IS NOT NULL AND
"""

_decode = msgspec.json.Decoder[dict[str, Any]]().decode


async def fetch_recorded(
    connection: AsyncConnection[Any],
    clause: LiteralString,
    parameters: Sequence[Any],
    *,
    prepare: bool = True,
) -> list[Recorded]:
    """Return the events for which a clause (condition, order, limit) over the log's columns holds.

    `prepare` keeps one plan for all parameters; not for clauses whose best index depends on them.
    """
    cursor = await connection.execute(_SELECT + clause, parameters, prepare=prepare, binary=True)
    return [_recorded(row) for row in await cursor.fetchall()]


def _recorded(row: tuple[Any, ...]) -> Recorded:
    *place, state, recorded_at, actor, correlation_id, causation_id, command_id, traceparent = row
    position, stream, revision, category, partition_key, event_id, type_, schema_version = place
    return Recorded(
        position,
        stream,
        revision,
        category,
        partition_key,
        event_id,
        type_,
        schema_version,
        _decode(state),
        recorded_at,
        actor,
        correlation_id,
        causation_id,
        command_id,
        traceparent,
    )


async def fetch_head(connection: AsyncConnection[Any]) -> int:
    """Return the position of the last event, 0 for an empty log."""
    cursor = await connection.execute("SELECT coalesce(max(notification_id), 0) FROM stored_events")
    row = await cursor.fetchone()
    assert row is not None
    return row[0]
