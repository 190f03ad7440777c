"""Reads rows of the log as Recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from domain.recorded import Recorded

COLUMNS: LiteralString = """
    notification_id, originator_id, originator_version, category, partition_key, event_id, topic, schema_version,
    state, recorded_at, actor, correlation_id, causation_id, command_id, traceparent
"""
"""The log's columns in the order of Recorded's fields."""

_decode = msgspec.json.Decoder[dict[str, Any]]().decode


async def fetch_recorded(
    connection: AsyncConnection[Any], query: LiteralString, parameters: Sequence[Any]
) -> list[Recorded]:
    """Run a query for COLUMNS and return its rows."""
    cursor = await connection.execute(query, parameters, prepare=True, binary=True)
    return [Recorded(*row[:8], _decode(row[8]), *row[9:]) for row in await cursor.fetchall()]
