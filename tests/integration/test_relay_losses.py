"""What a relay does when Kafka loses records or its session ends: moments that no real server repeats."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from adapters.kafka import relay, sending
from adapters.kafka.cloud_events import LogPosition, Row
from adapters.kafka.outbox import RecordsLost
from adapters.kafka.relay import Relay
from adapters.postgres.access import Access
from adapters.postgres.pool import make_pool
from app.readiness import relay_ready
from domain.errors import Unavailable
from projections.named_tasks import end
from tests.servers.ledgers import a_slice, open_ledger, told_by

pytestmark = pytest.mark.anyio


class Outbox:
    """Takes everything, or says that records were lost; `done` has what was asked of it."""

    def __init__(self, done: list[str], *, loses: bool = False) -> None:
        self._done, self._loses = done, loses

    def send(
        self, rows: Sequence[Row], marked: LogPosition | None, ends: Mapping[str, int]
    ) -> dict[str, int]:
        self._done.append("send")
        if self._loses:
            raise RecordsLost("offset 8 of track-0 was given twice")
        return {"track-0": 100}

    def discard(self) -> None:
        pass

    def close(self) -> None:
        self._done.append("close")


@pytest.fixture
def kafka_at_hand(database: Access, monkeypatch: pytest.MonkeyPatch) -> Access:
    """A database that knows topics, and a Kafka of which nothing but the outbox matters."""
    with psycopg.connect(database.owner) as connection:
        for subject in ("deployment", "device", "track"):
            connection.execute(
                "INSERT INTO kafka_topics (subject, name, partitions, topic_id, cluster_id) "
                "VALUES (%s, %s, 1, %s, 'cluster')",
                [subject, f"test.{subject}", uuid4()],
            )

    @contextmanager
    def administering(_: str) -> Generator[None]:
        yield

    monkeypatch.setattr(relay, "administering", administering)
    monkeypatch.setattr(relay, "check_topics", lambda *_: None)
    monkeypatch.setattr(relay, "end_offsets", lambda *_: {})
    monkeypatch.setattr(relay, "last_positions", lambda *_: {})
    return database


async def test_a_loss_takes_every_groups_place_before_anything_else_is_sent(
    kafka_at_hand: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member would take what comes next for what follows what it has, and move past the hole."""
    done = list[str]()
    outboxes = iter([Outbox(done, loses=True), Outbox(done)])
    monkeypatch.setattr(sending, "open_outbox", lambda *_: next(outboxes))
    monkeypatch.setattr(relay, "NOTICE_S", 1.5)
    with psycopg.connect(kafka_at_hand.serving, autocommit=True) as connection:
        connection.execute("INSERT INTO kafka_groups (name, incarnation) VALUES ('view', %s)", [uuid4()])
        async with open_ledger(kafka_at_hand.serving) as ledger:
            await ledger.store.append([a_slice(uuid4(), 0, 3)], told_by())
        running = asyncio.create_task(Relay(kafka_at_hand.serving, "kafka:9092").run())
        async with asyncio.timeout(30):
            while connection.execute("SELECT 1 FROM kafka_groups").fetchone():
                await asyncio.sleep(0.01)
            taken = time.monotonic()
            assert done == ["send"]
            while done.count("send") < 2:
                await asyncio.sleep(0.01)
        assert time.monotonic() - taken > 1.4, "members had no time to see it"
        await end([running])
    assert done[:2] == ["send", "close"]


async def test_an_outbox_that_opens_after_the_session_has_ended_is_closed(
    kafka_at_hand: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waiting for it holds up nothing else, the health probes say."""
    done, begun, go_on = list[str](), threading.Event(), threading.Event()

    def open_slowly(*_: object) -> Outbox:
        begun.set()
        assert go_on.wait(30)
        return Outbox(done)

    monkeypatch.setattr(sending, "open_outbox", open_slowly)
    running = asyncio.create_task(Relay(kafka_at_hand.serving, "kafka:9092").run())
    async with asyncio.timeout(30):
        while not begun.is_set():
            await asyncio.sleep(0.01)
        _end_other_sessions(kafka_at_hand)
        # A ping finds the session gone; meanwhile, and afterwards, the loop is free.
        await asyncio.sleep(1.0)
        assert done == []
        go_on.set()
        while done[:1] != ["close"]:
            await asyncio.sleep(0.01)
    await end([running])


async def test_a_relay_that_would_lead_and_never_reached_kafka_is_not_ready(
    kafka_at_hand: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when nothing waits to be sent: nobody leads, and it does not stand by either."""

    def away(_: str) -> None:
        raise Unavailable("Kafka can't be reached")

    there = relay.administering
    monkeypatch.setattr(relay, "administering", away)
    monkeypatch.setattr(sending, "open_outbox", lambda *_: Outbox([]))
    leader = Relay(kafka_at_hand.serving, "kafka:9092")
    async with make_pool(kafka_at_hand.serving) as pool:
        ready = relay_ready(pool, leader)["relay"]
        running = asyncio.create_task(leader.run())
        async with asyncio.timeout(30):
            while not leader.refused:
                await asyncio.sleep(0.01)
            with pytest.raises(Unavailable, match="Kafka can't be reached"):
                await ready()
            monkeypatch.setattr(relay, "administering", there)
            while not leader.leading:
                await asyncio.sleep(0.01)
            assert (await ready()).startswith("leads")
        await end([running])


def _end_other_sessions(access: Access) -> None:
    with psycopg.connect(access.serving, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
        )
