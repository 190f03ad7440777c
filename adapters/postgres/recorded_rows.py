"""Reads rows of the log as Recorded, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from domain.log import PAGE_BYTES, Page
from domain.recorded import Recorded

# In the order of Recorded's fields. Events without a category belong to the library's own Application.
_FOUND: LiteralString = """
    WITH found AS (
        SELECT notification_id, originator_id, originator_version, category, partition_key, event_id, topic,
            schema_version, state, recorded_at, actor, correlation_id, causation_id, command_id, traceparent
        FROM stored_events WHERE category IS NOT NULL AND
"""
# The length of a column that is stored out of line is known without reading it. The first row beyond the
# limit comes without its state: it only shows that there are more.
_PAGE: LiteralString = """
        LIMIT %s
    ), sized AS (
        SELECT *, row_number() OVER so_far AS number, sum(octet_length(state)) OVER so_far AS bytes
        FROM found WINDOW so_far AS (ORDER BY notification_id)
    )
    SELECT notification_id, originator_id, originator_version, category, partition_key, event_id, topic,
        schema_version, CASE WHEN number = 1 OR number <= %s AND bytes <= %s THEN state END,
        recorded_at, actor, correlation_id, causation_id, command_id, traceparent
    FROM sized WHERE number <= 2 OR bytes - octet_length(state) <= %s
    ORDER BY notification_id
"""

_decode = msgspec.json.Decoder[dict[str, Any]]().decode


async def fetch_recorded(
    connection: AsyncConnection[Any],
    clause: LiteralString,
    parameters: Sequence[Any],
    limit: int,
    *,
    prepare: bool = True,
) -> Page:
    """Return the first page of the events that match a clause (condition and order) over the columns.

    The order must be that of the log. `prepare` keeps one plan for all parameters; do not use it for
    clauses whose best index depends on them.
    """
    cut = [limit + 1, limit, PAGE_BYTES, PAGE_BYTES]
    cursor = await connection.execute(
        _FOUND + clause + _PAGE, [*parameters, *cut], prepare=prepare, binary=True
    )
    rows = await cursor.fetchall()
    fitting = [row for row in rows if row[8] is not None]
    size = sum(len(row[8]) for row in fitting)
    return Page(map(_recorded, fitting), more=len(fitting) < len(rows), bytes=size)


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
