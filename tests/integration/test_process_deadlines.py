"""Durable deadlines on a real Postgres: once for all runners, by its clock, across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres.access import Access
from adapters.postgres.deadlines import PostgresDeadlines
from commands.following import SetDeadline
from domain.recorded import Recorded
from tests.integration.analysis_plant import at_work
from tests.integration.toy_process import House, Toy, house, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database: Access) -> AsyncIterator[House]:
    async with house(database, None) as parts:
        yield parts


async def an_event(parts: House, key: UUID, n: int = 1) -> Recorded:
    await parts.tell(key, n)
    return (await parts.ledger.store.read_stream(key, after=n - 1))[0]


async def test_a_deadline_of_an_event_fires_after_a_restart(parts: House) -> None:
    key, first = uuid4(), Toy()
    process = parts.process(first)
    async with at_work(process):
        await parts.tell(key, 1, deadlines={"step": 0.5, "far": 3600})
        await until(lambda: first.numbers(key) == [1])
    second = Toy()
    async with at_work(parts.process(second)):
        await until(lambda: len(first.fired + second.fired) > 0, "the deadline")
    # An event that was not committed yet comes again, and may set it again.
    (due,) = set(first.fired + second.fired)
    (event,) = await parts.ledger.store.read_stream(key)
    assert (due.key, due.position, due.event_id) == (str(key), event.position, event.event_id)
    assert due.due_at == event.recorded_at + timedelta(seconds=0.5)
    assert due.correlation_id == event.correlation_id


async def test_a_later_event_replaces_a_deadline_and_an_older_one_delivered_again_does_not(
    parts: House, database: Access
) -> None:
    deadlines, key = PostgresDeadlines(parts.ledger.pool), uuid4()
    first, second = await an_event(parts, key), await an_event(parts, key, 2)
    await deadlines.set("toy", str(key), second, [SetDeadline("step", 3600)])
    await deadlines.set("toy", str(key), first, [SetDeadline("step", 0)])
    await deadlines.clear("toy", str(key), first, ["step"])
    assert await deadlines.claim("toy", 10) == []
    assert _rows(database) == [("step", second.position)]
    await deadlines.clear("toy", str(key), second, ["step"])
    assert _rows(database) == []


async def test_several_runners_share_the_deadlines_and_each_is_one_runners(parts: House) -> None:
    deadlines = [PostgresDeadlines(parts.ledger.pool) for _ in range(4)]
    event = await an_event(parts, uuid4())
    for n in range(40):
        await deadlines[0].set("toy", f"key {n}", event, [SetDeadline("step", 0)])
    claimed = [
        due.key for some in await asyncio.gather(*(d.claim("toy", 10) for d in deadlines)) for due in some
    ]
    claimed += [due.key for due in await deadlines[0].claim("toy", 40)]
    assert sorted(claimed) == sorted(f"key {n}" for n in range(40))


async def test_a_deadline_whose_runner_died_is_taken_over_when_its_lease_ends(parts: House) -> None:
    event = await an_event(parts, uuid4())
    dying, other = PostgresDeadlines(parts.ledger.pool, 0.3), PostgresDeadlines(parts.ledger.pool)
    await dying.set("toy", "key", event, [SetDeadline("step", 0)])
    (due,) = await dying.claim("toy", 10)
    assert await other.claim("toy", 10) == []

    async def taken_over() -> bool:
        return await other.claim("toy", 10) == [due]

    await until(taken_over, "the other runner's claim")
    await other.finish("toy", due)
    assert await dying.claim("toy", 10) == []


async def test_a_delay_from_an_event_ahead_of_the_databases_clock_counts_from_now(parts: House) -> None:
    """The clock had been ahead for one event; afterwards its deadlines are not days late."""
    deadlines = PostgresDeadlines(parts.ledger.pool)
    event = await an_event(parts, uuid4())
    ahead = replace(event, recorded_at=datetime.now(UTC) + timedelta(days=3))
    await deadlines.set("toy", "key", ahead, [SetDeadline("step", 0), SetDeadline("hour", 3600)])
    assert [due.kind for due in await deadlines.claim("toy", 10)] == ["step"]


async def test_a_deadline_set_before_the_clock_stepped_back_counts_its_delay_from_now(
    parts: House, database: Access
) -> None:
    deadlines = PostgresDeadlines(parts.ledger.pool)
    event = await an_event(parts, uuid4())
    await deadlines.set("toy", "key", event, [SetDeadline("step", 0), SetDeadline("hour", 3600)])
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(
            """
            UPDATE process_deadlines SET due_at = due_at + interval '3 days',
                counts_from = counts_from + interval '3 days'
            """
        )
    await deadlines.claim("toy", 10)
    assert [due.kind for due in await deadlines.claim("toy", 10)] == ["step"]


async def test_a_deadline_set_while_one_fires_counts_from_that_one(parts: House) -> None:
    toy, key = Toy(), uuid4()
    async with at_work(parts.process(toy)):
        await parts.tell(key, 1, deadlines={"again": 0})
        await until(lambda: [due.kind for due in toy.fired] == ["again", "later"], "both deadlines")
    again, later = toy.fired
    assert (later.turn, later.position, later.due_at) == (1, again.position, again.due_at)


async def test_a_deadline_that_fails_parks_alone_is_listed_and_tried_again(parts: House) -> None:
    toy, key = Toy(broken=True), uuid4()
    process = parts.process(toy)
    async with at_work(process):
        await parts.tell(key, 1, deadlines={"step": 0})

        async def parked() -> bool:
            return [(row.key, row.kind) for row in await process.parked()] == [(str(key), "step")]

        await until(parked, "the parked deadline")
        assert (await process.parked())[0].error == "ValueError: the deadline cannot be handled"
        await parts.tell(key, 2)
        await until(lambda: toy.numbers(key) == [1, 2], "the key's events go on")
        toy.broken = False
        await process.replay()
        await until(lambda: [due.kind for due in toy.fired] == ["step"], "the deadline")
        assert await process.parked() == []


async def test_no_deadline_of_a_parked_key_fires_before_the_replay(parts: House) -> None:
    toy, key, other = Toy(broken=True), uuid4(), uuid4()
    process = parts.process(toy)
    async with at_work(process):
        await parts.tell(key, 1, poison=True)

        async def parked() -> bool:
            return bool(await process.parked())

        await until(parked, "the parked key")
        toy.broken = False
        (event,) = await parts.ledger.store.read_stream(key)
        deadlines = PostgresDeadlines(parts.ledger.pool)
        await deadlines.set("toy", str(key), event, [SetDeadline("step", 0)])
        await parts.tell(other, 1, deadlines={"step": 0})
        await until(lambda: len(toy.fired) > 0, "a deadline")
        assert [due.key for due in toy.fired] == [str(other)]
        await process.replay()
        await until(lambda: [due.key for due in toy.fired] == [str(other), str(key)], "the other deadline")


def _rows(database: Access) -> list[tuple[str, int]]:
    with psycopg.connect(database.owner) as connection:
        return connection.execute("SELECT kind, position FROM process_deadlines ORDER BY kind").fetchall()
