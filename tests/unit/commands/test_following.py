"""A process manager's place in the log: how far it is, what it commits, and what it does not pass by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from commands.follower import Follower
from commands.process import Process
from commands.rollout import GROUP, ROLLOUTS
from domain.errors import Unavailable
from domain.lag import Lag
from domain.log import Metadata, NewEvent, Offsets, Slice
from domain.recorded import Recorded
from tests.unit.commands.memory import MemoryLog, MemoryStore, MemorySubscription
from tests.unit.commands.memory_processes import memory_ports

pytestmark = pytest.mark.anyio

BY = Metadata("user:3f6c", UUID(int=1), None, UUID(int=1))


async def tell(store: MemoryStore, category: str, type_: str = "track.archived") -> None:
    event = NewEvent(uuid4(), type_, 1, b"{}")
    await store.append([Slice(uuid4(), 0, category, "key", (event,))], BY)


def following(log: MemoryLog, store: MemoryStore, handled: list[Recorded]) -> Follower:
    async def hand_out(events: Sequence[Recorded], done: Callable[[], None]) -> None:
        for recorded in events:
            handled.append(recorded)
            done()

    return Follower("group", ["track"], log, store, hand_out, lambda: None)


def rollout(log: MemoryLog, store: MemoryStore) -> Process:
    return Process(ROLLOUTS, log, store, memory_ports(store), None)  # type: ignore[arg-type] - no commands


@asynccontextmanager
async def running(run: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await true():
            await asyncio.sleep(0.005)


async def test_a_follower_says_how_far_it_is_behind_in_events_and_seconds() -> None:
    store = MemoryStore()
    log, handled = MemoryLog(store), list[Recorded]()
    follower = following(log, store, handled)
    await log.start_group("group", {"0": 0})
    await tell(store, "track")
    then = store.log[0].recorded_at
    assert await follower.lag(then) is None, "nothing was read yet"
    async with running(follower.run):

        async def caught_up() -> bool:
            return await follower.lag(then) == Lag(0, 0.0)

        await until(caught_up)
    await tell(store, "device")
    assert await follower.lag(then) == Lag(1, 0.0), "no event of its own waits"
    await tell(store, "track")
    assert await follower.lag(then + timedelta(seconds=7)) == Lag(2, 7.0)
    assert [event.position for event in handled] == [1]


async def test_a_follower_that_never_could_read_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    log = MemoryLog(store)

    async def away(_: object) -> Offsets:
        raise Unavailable("Kafka is away")

    monkeypatch.setattr(log, "end_offsets", away)
    with pytest.raises(Unavailable, match="Kafka is away"):
        await rollout(log, store).lag(datetime.now(UTC))


async def test_what_a_rebalance_gave_to_others_is_theirs_to_be_late_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    log = MemoryLog(store)
    await tell(store, "track")
    now = store.log[0].recorded_at
    follower = following(log, store, [])
    await log.start_group("group", {"0": 0})
    async with running(follower.run):

        async def caught_up() -> bool:
            return await follower.lag(now) == Lag(0, 0.0)

        await until(caught_up)
    await tell(store, "track")
    late = store.log[1].recorded_at + timedelta(seconds=90)
    assert await follower.lag(late) == Lag(1, 90.0)
    monkeypatch.setattr(MemorySubscription, "reached", property(lambda _: {"1": 2}))
    assert await follower.lag(late) is None
    monkeypatch.setattr(MemorySubscription, "reached", property(lambda _: dict[str, int]()))
    assert await follower.lag(late) == Lag(1, 90.0), "joining anew it is not ready"


async def test_rollout_keeps_its_place_behind_what_concerns_no_deployment() -> None:
    store = MemoryStore()
    log = MemoryLog(store)
    await tell(store, "track")
    async with running(rollout(log, store).run):

        async def begun() -> bool:
            return log.groups.get(GROUP) == 1

        await until(begun)
        await tell(store, "track")

        async def passed() -> bool:
            return log.groups[GROUP] == 2

        await until(passed)


async def test_rollout_parks_a_deployment_that_only_a_newer_version_knows() -> None:
    store = MemoryStore()
    log = MemoryLog(store)
    await log.start_group(GROUP, {"0": 0})
    await tell(store, "deployment", "deployment.started_by_a_newer_version")
    process = rollout(log, store)
    async with running(process.run):

        async def parked() -> bool:
            return bool(await process.parked())

        await until(parked)
    (key,) = await process.parked()
    assert (key.key, key.position) == ("key", 1)
    assert key.error.startswith("deployment.started_by_a_newer_version: unknown_event: ")
