"""A process manager over real servers: what fails parks its key, many commands do not hold up the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest

from adapters.postgres.access import Access
from app.readiness import follows
from commands.process import Process
from tests.integration.analysis_plant import at_work
from tests.integration.toy_process import House, Toy, house, until
from tests.servers.relays import make_topics, relaying

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["postgres", "kafka"])
async def parts(request: pytest.FixtureRequest, database: Access) -> AsyncIterator[House]:
    if request.param == "postgres":
        async with house(database, None) as parts:
            yield parts
        return
    kafka = request.getfixturevalue("kafka")
    make_topics(database, kafka)
    async with house(database, kafka) as parts, relaying(database.serving, kafka):
        yield parts


@pytest.fixture
async def alone(database: Access) -> AsyncIterator[House]:
    """Without Kafka: for what is the same in both profiles."""
    async with house(database, None) as parts:
        yield parts


async def is_parked(process: Process) -> bool:
    return bool(await process.parked())


async def test_an_event_that_cannot_be_handled_parks_its_key_and_the_others_go_on(parts: House) -> None:
    toy, bad, good = Toy(broken=True), uuid4(), uuid4()
    process = parts.process(toy)
    async with at_work(process):
        await parts.tell(bad, 1)
        await parts.tell(bad, 2, poison=True)
        await parts.tell(bad, 3)
        for n in range(1, 4):
            await parts.tell(good, n)
        await until(lambda: toy.numbers(good) == [1, 2, 3], "the other key")
        await until(lambda: is_parked(process), "the parked key")
        await parts.tell(bad, 4)
        await until(lambda: _waits_up_to(process, parts, bad, 4), "the event behind the parked one")

        (key,) = await process.parked()
        assert (key.key, key.kind) == (str(bad), None)
        assert key.error == "track.toy: ValueError: this event cannot be handled"
        assert toy.numbers(bad) == [1]
        checks = follows(process)
        assert await checks["parked"]() == f"1 ({bad}): see `beatledger processes parked`"
        assert "behind" in await checks["lag"](), "a parked key is no lag"

    again = Toy(broken=True)
    restarted = parts.process(again)
    async with at_work(restarted):
        await parts.tell(bad, 5)
        await until(lambda: _waits_up_to(restarted, parts, bad, 5), "parked survives a restart")
        assert again.numbers(bad) == []
        assert await restarted.replay() == {str(bad): "ValueError: this event cannot be handled"}

        again.broken = False
        assert await restarted.replay() == {str(bad): None}
        assert again.numbers(bad) == [2, 3, 4, 5], "in order, from the parked one on"
        assert await restarted.parked() == []
        await parts.tell(bad, 6)
        await until(lambda: again.numbers(bad) == [2, 3, 4, 5, 6], "the key goes on by itself")
        assert await follows(restarted)["parked"]() == "none"


async def _waits_up_to(process: Process, parts: House, key: UUID, n: int) -> bool:
    (last,) = await parts.ledger.store.read_stream(key, after=n - 1)
    return any(row.key == str(key) and row.up_to == last.position for row in await process.parked())


async def test_a_process_that_starts_replays_what_an_older_one_parked(parts: House) -> None:
    """After an upgrade nobody has to know that an older version met an event it could not handle."""
    older, key = Toy(broken=True), uuid4()
    process = parts.process(older)
    async with at_work(process):
        await parts.tell(key, 1, poison=True)
        await parts.tell(key, 2)
        await until(lambda: is_parked(process), "the parked key")
    newer = Toy()
    process = parts.process(newer)
    async with at_work(process):
        await until(lambda: newer.numbers(key) == [1, 2], "the replay")
        await until(lambda: _none_parked(process), "the end of the replay")


async def _none_parked(process: Process) -> bool:
    return not await process.parked()


async def test_a_replay_beside_a_key_that_is_written_to_loses_and_doubles_nothing(alone: House) -> None:
    toy, key = Toy(broken=True), uuid4()
    process, replaying = alone.process(toy), alone.process(toy)
    async with at_work(process):
        await alone.tell(key, 1, poison=True)
        await until(lambda: is_parked(process), "the parked key")
        toy.broken = False

        async def write() -> None:
            for n in range(2, 202):
                await alone.tell(key, n)

        writing = asyncio.create_task(write())
        while not writing.done():
            await replaying.replay()
            await asyncio.sleep(0)
        await writing
        await replaying.replay()
        await until(lambda: len(toy.numbers(key)) == 201, "everything")
    assert [n for _, n in toy.handled] == list(range(1, 202))


async def test_five_thousand_commands_of_one_event_do_not_hold_up_the_log(
    parts: House, record_property: Callable[[str, object], None]
) -> None:
    """Events of other keys are read, handled and answered all the while."""
    toy, many = Toy(), uuid4()
    process = parts.process(toy)
    async with at_work(process):
        other, began = uuid4(), time.monotonic()
        await parts.tell(many, 1, uploads=5_000)
        await parts.tell(other, 1)
        await until(lambda: toy.numbers(other) == [1], "the other key's event")
        assert await _uploaded(parts) < 5_000, "its commands are still under way"
        rounds = 1
        while await _uploaded(parts) < 5_000:
            rounds += 1
            await parts.tell(other, rounds)
            await until(lambda rounds=rounds: toy.numbers(other)[-1:] == [rounds], "the other key's event")
        took_s = time.monotonic() - began
        record_property("took_s", took_s)
        record_property("rounds", rounds)
        head = await parts.ledger.store.head()
    assert await _uploaded(parts) == 5_000

    again = parts.process(Toy())
    await parts.log.start_group("toy", dict.fromkeys(await parts.log.end_offsets(["track"]), 0))
    async with at_work(again):
        await until(lambda: _caught_up(again, parts), "the repetition")
        assert await parts.ledger.store.head() == head, "a repetition writes nothing"


async def _uploaded(parts: House) -> int:
    async with parts.ledger.pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM stored_events WHERE topic = 'track.uploaded'")
        row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def _caught_up(process: Process, parts: House) -> bool:
    (first,) = await parts.ledger.store.read_log(0, 1)
    lag = await process.lag(first.recorded_at)
    return lag is not None and lag.events == 0
