"""A view is built anew while it serves: readers see the old one whole, then the new one whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.postgres.documents import PostgresDocuments
from domain.errors import CursorGone, Unavailable
from domain.events import REGISTRY
from domain.recorded import Recorded
from projections.documents import Generation, Standing
from projections.named_tasks import end
from projections.queries import Query
from projections.supervisor import Projections
from projections.track_list import TRACK_LIST
from projections.view import Document, View
from projections.views import VIEWS
from tests.integration.dying import Death, DyingStore, Killed
from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    open_read_side,
    read_models,
    reference,
    running,
    shows_the_log,
    snapshot,
    tell_stories,
    until,
)

pytestmark = pytest.mark.anyio

LIST = (TRACK_LIST,)


@pytest.fixture
async def side(postgres: TestServer, documents_in: str | None) -> AsyncIterator[ReadSide]:
    with read_models(postgres) as access:
        async with open_read_side(access, mongo_url=documents_in) as side:
            yield side


async def standing(side: ReadSide, view: str = "track_list") -> Standing:
    found = await side.store.standing(view)
    assert found is not None
    return found


def projections(side: ReadSide, *views: View) -> Projections:
    return Projections(views, side.store, side.ledger.log, side.events, REGISTRY, side.progress)


async def serves_version(side: ReadSide, version: int) -> None:
    async def true() -> bool:
        found = await side.store.standing("track_list")
        return found is not None and found.generation.version == version

    await until(true)


async def test_an_empty_store_serves_at_once(side: ReadSide) -> None:
    async with running(side):
        await caught_up(side)
    assert [s.generation > 0 for s in await side.views.status()] == [True] * len(VIEWS)


async def test_a_first_start_on_a_long_log_serves_all_of_it(side: ReadSide) -> None:
    """More than one batch of history, and events that arrive during the build."""
    await tell_stories(side.events, seed=1, tracks=90)
    assert await side.events.head() > 500
    async with running(side):
        await tell_stories(side.events, seed=2, tracks=10)
        await caught_up(side)
    await shows_the_log(side)


async def test_a_rebuild_while_serving_and_writing_gives_identical_documents(side: ReadSide) -> None:
    """Every view, while events arrive; at every moment readers find at least what was there before.

    Postgres keeps writers away while it switches: there they find at least what they found before.
    """
    await tell_stories(side.events, seed=3, tracks=30)
    async with running(side):
        await caught_up(side)
        before = {view.name: (await standing(side, view.name)).generation.number for view in VIEWS}
        counts = {view.name: await side.views.count(view.name) for view in VIEWS}
        writing = asyncio.create_task(tell_stories(side.events, seed=4, tracks=20))
        building = [asyncio.create_task(side.projections.rebuild(view.name)) for view in VIEWS]
        looks = 0
        while not all(task.done() for task in [writing, *building]):
            for name, before_it in counts.items():
                count = await side.views.count(name)
                assert count >= before_it, f"readers of {name} saw a part of it"
                if isinstance(side.store, PostgresDocuments):
                    counts[name] = count
            looks += 1
        assert looks > 1, "it was over before anybody looked twice"
        await asyncio.gather(writing, *building)
        await caught_up(side)
        for view in VIEWS:
            assert (await standing(side, view.name)).generation.number > before[view.name]
        await shows_the_log(side)
        # The new generations go on living.
        await tell_stories(side.events, seed=5, tracks=3)
        await caught_up(side)
        await shows_the_log(side)


async def test_a_rebuild_with_no_server_running_ends_as_well(side: ReadSide) -> None:
    """The command line alone: it builds, switches and leaves; a server started later goes on from there."""
    await tell_stories(side.events, seed=6, tracks=10)
    first = await side.build(TRACK_LIST)
    await tell_stories(side.events, seed=7, tracks=5)
    second = await side.build(TRACK_LIST)
    assert second.number > first.number
    assert await snapshot(side.store, second) == await reference(side.events, TRACK_LIST)
    await tell_stories(side.events, seed=8, tracks=5)
    async with running(side):
        await caught_up(side)
        assert (await standing(side)).generation.number == second.number
        await shows_the_log(side)


async def test_a_new_version_is_built_at_start_while_the_old_one_serves(side: ReadSide) -> None:
    await tell_stories(side.events, seed=9, tracks=10)
    old = await side.build(TRACK_LIST)

    def apply(document: Document | None, recorded: Recorded) -> Document | None:
        row = TRACK_LIST.apply(document, recorded)
        return row and {**row, "shouted": row["title"].upper()}

    newer = replace(TRACK_LIST, version=2, apply=apply)
    gate, built = asyncio.Event(), projections(side, newer)

    class Gated:
        """Holds the build's first write up, so that the old one can be seen serving."""

        def __getattr__(self, name: str) -> Any:
            return getattr(side.store, name)

        async def write(self, generation: Generation, *args: Any) -> Any:
            await gate.wait()
            return await side.store.write(generation, *args)

    built._store = Gated()  # pyright: ignore
    task = asyncio.create_task(built.run())

    async def building() -> bool:
        return len(await side.store.generations("track_list")) == 2

    await until(building)
    assert (await standing(side)).generation.number == old.number
    page = await side.views.find("track_list", Query())
    assert page.items
    assert "shouted" not in page.items[0]
    gate.set()
    await serves_version(side, 2)
    assert await snapshot(side.store, (await standing(side)).generation) == await reference(
        side.events, newer
    )
    await end([task])


async def test_an_older_process_does_not_take_a_newer_versions_place(side: ReadSide) -> None:
    """In a rolling deploy both run: they must not rebuild against each other."""
    newer = await side.build(replace(TRACK_LIST, version=2))
    old = asyncio.create_task(projections(side, TRACK_LIST).run())
    await asyncio.wait([old], timeout=0.3)
    assert not old.done()
    await end([old])
    assert [g.number for g in await side.store.generations("track_list")] == [newer.number]


async def test_a_build_that_dies_at_any_step_is_gone_on_with(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stopped, by whoever rebuilds next; and it ends with the same documents."""
    monkeypatch.setattr("projections.rebuild.BATCH", 10)
    monkeypatch.setattr("projections.rebuild.STALLED_S", 0.02)
    monkeypatch.setattr("projections.rebuild.LOOK_S", 0.01)
    await tell_stories(side.events, seed=10, tracks=5)
    served = await side.build(TRACK_LIST)
    expected = await reference(side.events, TRACK_LIST)
    step, died, reached = 0, True, [0]
    while died:
        step += 1
        try:
            await side.build(TRACK_LIST, DyingStore(side.store, Death(step)))
            died = False
        except Killed:
            assert (await standing(side)).generation.number == served.number, "the old one serves"
            [_, building] = await side.store.generations("track_list")
            reached.append(max((await side.store.watermarks(building)).values(), default=0))
    assert reached == sorted(reached)
    assert len(set(reached)) > 3, "none began at the beginning again"
    now = (await standing(side)).generation
    assert now.number > served.number
    assert await snapshot(side.store, now) == expected


async def test_a_build_begun_by_another_process_is_left_to_it(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.rebuild.BATCH", 10)
    await tell_stories(side.events, seed=13, tracks=10)

    class Counting:
        """Counts the writes of documents, and takes some time for each."""

        def __init__(self) -> None:
            self.writes = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(side.store, name)

        async def write(self, generation: Generation, changes: Any, *rest: Any) -> Any:
            self.writes += bool(changes)
            await asyncio.sleep(0.01)
            return await side.store.write(generation, changes, *rest)

    first, second = Counting(), Counting()
    building = asyncio.create_task(side.build(TRACK_LIST, first))

    async def begun() -> bool:
        return first.writes > 0

    await until(begun)
    joined = await side.build(TRACK_LIST, second)
    assert await building == joined
    assert first.writes > 5
    assert second.writes == 0
    assert await snapshot(side.store, joined) == await reference(side.events, TRACK_LIST)


async def test_a_generation_whose_builder_died_before_the_switch_is_taken_over(side: ReadSide) -> None:
    await tell_stories(side.events, seed=11, tracks=3)

    class NeverSwitching:
        def __getattr__(self, name: str) -> Any:
            return getattr(side.store, name)

        async def switch(self, generation: Generation) -> bool:
            raise Unavailable("died here")

    with pytest.raises(Unavailable):
        await side.build(TRACK_LIST, NeverSwitching())
    [left] = await side.store.generations("track_list")
    assert left.state == "following"
    async with running(side):
        await caught_up(side)
    assert (await standing(side)).generation.number == left.number


async def test_a_cursor_of_before_a_rebuild_is_gone(side: ReadSide) -> None:
    await tell_stories(side.events, seed=12, tracks=6)
    await side.build(TRACK_LIST)
    page = await side.views.find("track_list", Query(limit=2))
    assert page.next_cursor is not None
    assert len((await side.views.find("track_list", Query(limit=2, cursor=page.next_cursor))).items) == 2
    await side.build(TRACK_LIST)
    with pytest.raises(CursorGone):
        await side.views.find("track_list", Query(limit=2, cursor=page.next_cursor))
