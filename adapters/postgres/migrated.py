"""Waits until Postgres is reachable and migrated, because distributed processes may start in any order."""

from __future__ import annotations

import asyncio

import psycopg
import structlog

from adapters.postgres.migrate import known_migrations
from adapters.postgres.pool import DEADLINE_S, ImpatientConnection, patient_only_for_seconds

_POLL_S = (0.2, 5.0)
"""The first wait and the longest; it doubles in between."""

log = structlog.get_logger(__name__)


async def until_migrated(conninfo: str) -> None:
    """Return when `beatledger migrate` of this code has finished its work on the database.

    Each new reason to wait is logged. Uses a connection of its own, because a pool hides the reason of a
    failure.
    """
    wait_s, told = _POLL_S[0], ""
    while reason := await _reason_to_wait(conninfo):
        if reason != told:
            log.warning("waiting_for_postgres", reason=reason)
        wait_s, told = min(wait_s * 2, _POLL_S[1]), reason
        await asyncio.sleep(wait_s)


async def _reason_to_wait(conninfo: str) -> str | None:
    try:
        async with (
            asyncio.timeout(DEADLINE_S),
            await ImpatientConnection.connect(patient_only_for_seconds(conninfo)) as conn,
        ):
            return await _lacking(conn)
    except TimeoutError:
        return "it does not answer"
    except psycopg.OperationalError as away:
        return f"it can't be reached: {' '.join(str(away).split())}"


async def _lacking(conn: ImpatientConnection) -> str | None:
    try:
        cursor = await conn.execute("SELECT name FROM schema_migrations")
        applied = {name for (name,) in await cursor.fetchall()}
    except psycopg.errors.UndefinedTable:
        applied = set[str]()
    if missing := sorted(known_migrations() - applied):
        return f"run `beatledger migrate`: it lacks {', '.join(missing)}"
    # The same command records them once Kafka is reachable, after the migrations.
    cursor = await conn.execute("SELECT subject FROM kafka_topics")
    if not await cursor.fetchall():
        return "run `beatledger migrate`: it has no Kafka topics yet"
    return None
