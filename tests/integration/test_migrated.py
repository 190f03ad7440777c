"""A process that starts before its database is ready waits for it, and says in its log what for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from adapters.kafka.layout import SUBJECTS
from adapters.postgres.access import Access
from adapters.postgres.migrated import until_migrated
from projections.named_tasks import end

pytestmark = pytest.mark.anyio

Logged = list[MutableMapping[str, Any]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    with capture_logs() as logs:
        yield logs


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_database_without_topics_is_waited_for_since_migrate_is_still_at_work(
    database: Access, logged: Logged
) -> None:
    waiting = asyncio.create_task(until_migrated(database.serving))
    await _until(lambda: bool(logged))
    assert "topics" in logged[0]["reason"]
    assert not waiting.done()
    with psycopg.connect(database.owner) as owner:
        for subject in set(SUBJECTS.values()):
            owner.execute(
                "INSERT INTO kafka_topics (subject, name, topic_id, partitions, cluster_id)"
                " VALUES (%s, %s, %s, 1, 'c')",
                [subject, subject, uuid4()],
            )
    async with asyncio.timeout(60):
        await waiting
    assert len(logged) == 1, "one line, however often it looked"


async def test_why_the_database_cannot_be_reached_is_said_in_one_line(
    database: Access, logged: Logged
) -> None:
    waiting = asyncio.create_task(until_migrated(make_conninfo(database.serving, dbname="nowhere")))
    try:
        await _until(lambda: bool(logged))
        assert '"nowhere"' in logged[0]["reason"]
        assert "\n" not in logged[0]["reason"]
    finally:
        await end([waiting])
