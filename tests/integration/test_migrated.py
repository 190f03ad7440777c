"""A process that starts before its database is ready waits for it, and says in its log what for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from adapters.postgres.access import Access
from adapters.postgres.migrated import until_migrated
from app import migration
from app.cli.local import read_settings
from app.settings import Migration
from domain.deciders import TOPICS
from domain.errors import Unavailable
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
        for subject in set(TOPICS.values()):
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


NOWHERE = {
    "BEATLEDGER_PROFILE": "distributed",
    "BEATLEDGER_DATABASE_URL": "postgresql://beatledger_app:x@127.0.0.1:1/beatledger",
    "BEATLEDGER_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "BEATLEDGER_MONGO_URL": "mongodb://127.0.0.1:1/beatledger",
    "BEATLEDGER_ARTEFACTS_URL": "s3://beatledger",
    "BEATLEDGER_SECRET": "a secret of more than thirty-two bytes",
}


def test_migrate_names_the_postgres_that_is_away_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "try_bucket", lambda _: None)
    owner = "postgresql://beatledger_owner:hunter2@127.0.0.1:1/beatledger"
    for name, value in {**NOWHERE, "BEATLEDGER_DATABASE_OWNER_URL": owner}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match=r"^Postgres can't be reached[^\n]*127.0.0.1[^\n]*$") as away:
        migration.migrate_servers(read_settings(Migration))
    assert "hunter2" not in str(away.value)


def test_a_command_does_not_wait_and_keeps_its_output_for_its_result() -> None:
    """A history with a line of the log inside would be no history."""
    ran = subprocess.run(
        [sys.executable, "-m", "app", "audit", "export"],
        env=os.environ | NOWHERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Postgres can't be reached" in ran.stderr
