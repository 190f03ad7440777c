"""MongoDB killed, silent, emptied, cut off at every command: the documents end as the fold of the log."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from adapters.mongo.documents import MongoDocuments
from adapters.mongo.server import MongoServer
from domain.errors import Unavailable, ViewBehind
from domain.events import REGISTRY
from domain.log import Batch
from projections.documents import GenerationGone
from projections.genesis_maps import GENESIS_MAPS
from projections.progress import Progress
from projections.projector import Projector
from projections.queries import Query
from projections.track_list import TRACK_LIST
from projections.views import VIEWS
from tests.integration.dying import Death, Killed
from tests.servers.ledgers import whole_log
from tests.servers.mongo import OwnMongo
from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    open_read_side,
    reference,
    running,
    shows_the_log,
    snapshot,
    tell_stories,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def side(postgres: TestServer, mongo_url: str) -> AsyncIterator[ReadSide]:
    with postgres.database() as access:
        async with open_read_side(access, mongo_url=mongo_url) as side:
            yield side


@pytest.fixture
async def own_side(
    postgres: TestServer, own_mongo: OwnMongo, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ReadSide]:
    """A read side on a MongoDB of its own, and of less patience."""
    monkeypatch.setattr("adapters.mongo.server.CONNECT_S", 0.5)
    monkeypatch.setattr("adapters.mongo.server.DEADLINE_S", 1.0)
    with postgres.database() as access:
        async with open_read_side(access, mongo_url=own_mongo.url) as side:
            yield side


async def back_again(side: ReadSide) -> None:
    """Wait until everything has caught up, however often a store of so little patience is away meanwhile."""

    async def reached() -> bool:
        try:
            return all(s.generation and s.lag_events == 0 for s in await side.views.status())
        except Unavailable:
            return False

    await until(reached, deadline_s=60)


async def shows_the_log_again(side: ReadSide, own_mongo: OwnMongo) -> None:
    """Assert what a reader of usual patience sees."""
    server = MongoServer(own_mongo.url)
    try:
        patient = replace(side, store=MongoDocuments(server, VIEWS))
        await shows_the_log(patient)
        for view in VIEWS:
            standing = await patient.store.standing(view.name)
            assert standing is not None
            assert await patient.store.parked(standing.generation) == []
    finally:
        await server.close()


async def test_the_projections_survive_a_mongodb_that_is_killed_and_one_that_is_silent(
    own_side: ReadSide, own_mongo: OwnMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away events are appended all the same; back again, all catches up without a new start."""
    side = own_side
    async with running(side):
        for seed in range(3):
            writing = asyncio.create_task(tell_stories(side.events, seed=seed, tracks=8))
            await asyncio.sleep(0.02 * seed)
            own_mongo.kill()
            start = time.monotonic()
            with pytest.raises(Unavailable):
                await side.store.standing("track_list")
            assert time.monotonic() - start < 10
            await writing
            own_mongo.start()
        await back_again(side)
        own_mongo.pause()
        with pytest.raises(Unavailable):
            await side.views.find("track_list", Query())
        await tell_stories(side.events, seed=9, tracks=5)
        own_mongo.resume()
        await back_again(side)
    monkeypatch.undo()
    await shows_the_log_again(side, own_mongo)


async def test_a_mongodb_that_is_not_there_yet_is_waited_for(
    own_side: ReadSide, own_mongo: OwnMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_mongo.kill()
    await tell_stories(own_side.events, seed=1, tracks=3)
    async with running(own_side):
        with pytest.raises(Unavailable):
            await own_side.views.find("track_list", Query())
        own_mongo.start()
        await back_again(own_side)
    monkeypatch.undo()
    await shows_the_log_again(own_side, own_mongo)


async def test_a_mongodb_that_does_not_know_our_user_is_unavailable(mongo_url: str) -> None:
    """The stand-in knows no users: the error is as a real server sends it."""

    async def refused() -> None:
        raise OperationFailure("Authentication failed.", code=18)

    server = MongoServer(mongo_url)
    with pytest.raises(Unavailable, match="BEATLEDGER_MONGO_URL"):
        await server.ask(refused())
    await server.close()


async def test_a_mongodb_that_was_emptied_gets_its_views_anew_and_whole(
    side: ReadSide, mongo_url: str
) -> None:
    """Under running projectors: none goes on in the new generation from where it was in the old one."""
    async with running(side):
        await tell_stories(side.events, seed=1, tracks=10)
        await caught_up(side)
        before = [s.generation for s in await side.views.status()]
        server = MongoServer(mongo_url)
        await server.database.client.drop_database(server.database.name)
        await server.close()
        await tell_stories(side.events, seed=2, tracks=10)

        async def anew() -> bool:
            now = [s.generation for s in await side.views.status()]
            return all(now) and not set(now) & set(before)

        await until(anew)
        await caught_up(side)
        await shows_the_log(side)
    assert [s.parked for s in await side.views.status()] == [0] * len(VIEWS)


async def test_an_emptied_mongodb_takes_no_write_of_before_and_shows_nothing(
    side: ReadSide, mongo_url: str
) -> None:
    generation = await side.build(TRACK_LIST)
    server = MongoServer(mongo_url)
    await server.database.client.drop_database(server.database.name)
    await server.close()
    with pytest.raises(GenerationGone):
        await side.store.write(generation, (), (), {"0": 7})
    assert await side.store.switch(generation) is False
    assert await side.store.generations("track_list") == []
    with pytest.raises(ViewBehind):
        await side.views.find("track_list", Query())


class DyingServer:
    """A server each of whose commands is preceded and followed by a step at which it may all end."""

    def __init__(self, server: MongoServer, death: Death) -> None:
        self._server, self._death = server, death
        self.database = server.database

    async def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await self._death.around(lambda: self._server.ask(call))
        finally:
            call.close()


async def test_a_batch_cut_off_at_every_command_comes_to_the_same_end(side: ReadSide, mongo_url: str) -> None:
    """Also a batch that brings entries; whoever handles it again finds a part of it done."""
    await tell_stories(side.events, seed=3, tracks=4)
    log = await whole_log(side.events)
    half, whole = (Batch(tuple(log[:n]), {"0": log[n - 1].position}) for n in (len(log) // 2, len(log)))
    server = MongoServer(mongo_url)
    expected = await reference(side.events, GENESIS_MAPS)
    step, died = 0, True
    while died:
        step += 1
        generation = await side.store.begin(GENESIS_MAPS.name, version=step)
        death = Death(at=step)
        stores = MongoDocuments(DyingServer(server, death), VIEWS), side.store  # pyright: ignore
        dying, sound = (Projector(GENESIS_MAPS, generation, store, REGISTRY, Progress()) for store in stores)
        await sound.handle(half)
        try:
            await dying.handle(whole)
        except Killed:
            await sound.handle(whole)
        died = death.left <= 0
        assert await snapshot(side.store, generation) == expected, f"cut off at step {step}"
        assert await side.store.watermarks(generation) == {"0": len(log)}
        assert await side.store.parked(generation) == []
    await server.close()
    assert step == 2 * len(("read", "check", "entries", "documents", "watermarks")) + 1


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_cancelled_caller_leaves_no_socket_behind(own_mongo: OwnMongo) -> None:
    """Cancelled at any moment, also while it connects; what is left open fails the test by a warning too."""
    before = open_files()
    for turns in range(40):
        server = MongoServer(own_mongo.url)
        store = MongoDocuments(server, VIEWS)
        await store.standing("track_list")
        asking = [asyncio.create_task(store.standing("track_list")) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        await server.close()
    assert open_files() == before


async def test_a_call_that_fails_after_its_asker_has_gone_is_no_lost_exception(mongo_url: str) -> None:
    """Its failure concerns nobody any more, and must not be reported as one that nobody saw."""
    server = MongoServer(mongo_url)
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    failing = asyncio.Event()

    async def fails() -> None:
        await failing.wait()
        raise DuplicateKeyError("somebody else was faster")

    asking = asyncio.create_task(server.ask(fails()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    failing.set()
    await server.close()
    gc.collect()
    assert asking.cancelled()
    assert reported == []
