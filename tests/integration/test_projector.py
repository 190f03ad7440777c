"""Whatever happens to a projector, its documents end as the plain fold of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.events import REGISTRY
from domain.log import Batch
from projections.documents import Generation
from projections.genesis_maps import GENESIS_MAPS
from projections.named_tasks import end
from projections.progress import Progress
from projections.projector import Projector
from projections.track_detail import TRACK_DETAIL
from projections.track_list import TRACK_LIST
from projections.view import View
from tests.integration.dying import DawdlingStore, Death, DyingLog, DyingStore, Killed
from tests.servers.ledgers import whole_log
from tests.servers.postgres import OwnPostgres, TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    make_indexes,
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


@pytest.fixture
async def side(postgres: TestServer, documents_in: str | None) -> AsyncIterator[ReadSide]:
    with read_models(postgres) as access:
        async with open_read_side(access, mongo_url=documents_in) as side:
            yield side


def projector(side: ReadSide, view: View, generation: Generation, store: Any = None) -> Projector:
    return Projector(view, generation, store or side.store, REGISTRY, side.progress)


async def finished(side: ReadSide, generation: Generation) -> bool:
    return (await side.store.watermarks(generation)).get("0", 0) >= await side.events.head()


async def run_to_the_end(side: ReadSide, view: View, generation: Generation, death: Death) -> None:
    """Follow the log until its end, or until death strikes."""
    store, log = DyingStore(side.store, death), DyingLog(side.ledger.log, death)
    task = asyncio.create_task(projector(side, view, generation, store).run(log))

    async def ended() -> bool:
        return task.done() or await finished(side, generation)

    await until(ended)
    await end([task])
    assert task.cancelled() or isinstance(task.exception(), Killed)


async def test_documents_are_the_fold_of_the_log(side: ReadSide) -> None:
    """All views, while events of thirty tracks arrive mixed, from an empty store on."""
    async with running(side):
        await tell_stories(side.events, seed=1, tracks=30)
        await caught_up(side)
    await shows_the_log(side)


async def test_redelivered_batches_leave_the_same_documents(side: ReadSide) -> None:
    """Batches that overlap, come twice, or come again from far back."""
    await tell_stories(side.events, seed=2, tracks=10)
    log = await whole_log(side.events)
    random = Random(2)
    for view in (TRACK_DETAIL, GENESIS_MAPS):
        generation = await side.store.begin(view.name, 1)
        one, reached = projector(side, view, generation), 0
        while reached < len(log):
            start, end = random.randint(0, reached), min(reached + random.randint(0, 9), len(log))
            await one.handle(Batch(tuple(log[start:end]), {"0": log[end - 1].position if end else 0}))
            reached = end
        await one.handle(Batch(tuple(log)))
        assert await snapshot(side.store, generation) == await reference(side.events, view)


@pytest.mark.parametrize("view", [TRACK_LIST, GENESIS_MAPS], ids=lambda view: view.name)
async def test_a_projector_that_dies_at_any_step_leaves_nothing_undone_or_done_twice(
    side: ReadSide, view: View
) -> None:
    """Before and after every read, write and commit; each time another one takes over."""
    await tell_stories(side.events, seed=3, tracks=4)
    expected = await reference(side.events, view)
    step, died = 0, True
    while died:
        step += 1
        generation = await side.store.begin(view.name, version=step)
        await side.ledger.log.start_group(generation.group, {"0": 0})
        death = Death(at=step)
        await run_to_the_end(side, view, generation, death)
        died = death.left <= 0
        await run_to_the_end(side, view, generation, Death(at=-1))
        assert await snapshot(side.store, generation) == expected, f"after dying at step {step}"
        assert (await side.store.watermarks(generation)) == {"0": await side.events.head()}
    assert step > 30, "there were that many steps to die at"


async def test_a_projector_that_is_cancelled_at_any_moment_leaves_nothing_undone(side: ReadSide) -> None:
    """In the middle of a statement too; thirty seeded moments."""
    await tell_stories(side.events, seed=4, tracks=6)
    random = Random(4)
    generation = await side.store.begin("track_detail", 1)
    await side.ledger.log.start_group(generation.group, {"0": 0})
    for _ in range(30):
        log = DyingLog(side.ledger.log, Death(-1), limit=3)
        task = asyncio.create_task(projector(side, TRACK_DETAIL, generation).run(log))
        for _ in range(random.randint(1, 60)):
            await asyncio.sleep(0)
        await asyncio.wait([task], timeout=random.choice([0.0, 0.003, 0.01]))
        await end([task])
    await run_to_the_end(side, TRACK_DETAIL, generation, Death(-1))
    assert await snapshot(side.store, generation) == await reference(side.events, TRACK_DETAIL)


async def test_a_zombie_with_a_stale_read_loses_and_sees_what_the_other_wrote(side: ReadSide) -> None:
    """It read, slept, and the log went on: what it then writes is refused, and redone from what is there."""
    await tell_stories(side.events, seed=5, tracks=5)
    log = await whole_log(side.events)
    generation = await side.store.begin("track_detail", 1)
    half = len(log) // 2
    dawdling = DawdlingStore(side.store)
    zombie = asyncio.create_task(
        projector(side, TRACK_DETAIL, generation, dawdling).handle(Batch(tuple(log[:half]), {"0": half}))
    )
    await dawdling.has_read.wait()
    await projector(side, TRACK_DETAIL, generation).handle(Batch(tuple(log), {"0": len(log)}))
    dawdling.may_write.set()
    await zombie
    assert dawdling.lost[0] == {str(recorded.stream) for recorded in log[:half]}
    assert await snapshot(side.store, generation) == await reference(side.events, TRACK_DETAIL)
    assert await side.store.watermarks(generation) == {"0": len(log)}


async def test_two_projectors_of_one_generation_do_no_harm(side: ReadSide) -> None:
    await tell_stories(side.events, seed=6, tracks=20)
    generation = await side.store.begin("track_detail", 1)
    await side.ledger.log.start_group(generation.group, {"0": 0})
    await asyncio.gather(*(run_to_the_end(side, TRACK_DETAIL, generation, Death(-1)) for _ in range(3)))
    assert await snapshot(side.store, generation) == await reference(side.events, TRACK_DETAIL)


async def test_the_projections_survive_a_postgres_that_dies_and_one_that_is_silent(
    own_postgres: OwnPostgres,
) -> None:
    """Killed and started again, then stopped for a while: the views catch up without being started anew."""
    make_indexes(own_postgres)
    async with open_read_side(own_postgres) as side, running(side):
        await tell_stories(side.events, seed=7, tracks=5)
        own_postgres.kill()
        with pytest.raises(Unavailable):
            await side.views.status()
        own_postgres.start()
        await tell_stories(side.events, seed=8, tracks=5)
        await caught_up(side)
        own_postgres.pause()
        await asyncio.sleep(0.5)
        own_postgres.resume()
        await tell_stories(side.events, seed=9, tracks=5)
        await caught_up(side)
        await shows_the_log(side)


async def test_batches_without_events_of_the_view_move_its_watermark(side: ReadSide) -> None:
    """A view of devices must not keep those waiting who wait for a track's event and read both."""
    devices = View("devices", 1, frozenset({"device"}), lambda document, recorded: {})
    generation = await side.build(devices)
    task = asyncio.create_task(
        Projector(devices, generation, side.store, REGISTRY, Progress()).run(side.ledger.log)
    )
    await tell_stories(side.events, seed=10, tracks=1)

    async def reached() -> bool:
        return await finished(side, generation)

    await until(reached)
    await end([task])
