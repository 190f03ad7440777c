"""Waits for a Postgres that is there and migrated: in the distributed profile anything may start first."""

from __future__ import annotations

import asyncio

import psycopg
import structlog

from adapters.postgres.migrate import known_migrations
from adapters.postgres.pool import Pool, connection
from domain.errors import Unavailable

_POLL_S = (0.2, 5.0)
"""The first wait and the longest; it doubles in between."""

log = structlog.get_logger(__name__)


async def until_migrated(pool: Pool) -> None:
    """Return when the database has every migration this code knows. Each new reason to wait is logged."""
    wait_s, told = _POLL_S[0], ""
    while reason := await _reason_to_wait(pool):
        if reason != told:
            log.warning("waiting_for_postgres", reason=reason)
        wait_s, told = min(wait_s * 2, _POLL_S[1]), reason
        await asyncio.sleep(wait_s)


async def _reason_to_wait(pool: Pool) -> str | None:
    try:
        async with connection(pool) as conn:
            cursor = await conn.execute("SELECT name FROM schema_migrations")
            applied = {name for (name,) in await cursor.fetchall()}
    except Unavailable as away:
        return f"it can't be reached: {away.__cause__}".strip()
    except psycopg.errors.UndefinedTable:
        applied = set[str]()
    if missing := sorted(known_migrations() - applied):
        return f"run `beatledger migrate`: it lacks {', '.join(missing)}"
    return None
