"""The loop that takes jobs: how many at a time, how many a minute, and what it does about the lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest

from commands.analysis.rate import RateLimit
from commands.analysis.worker import AnalysisWorker, worker_name
from domain.errors import UnknownEvent
from tests.unit.commands.analysis_house import ANALYSED, AnalysisHouse
from tests.unit.commands.test_analysis_attempt import hang
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio


@pytest.fixture
def house() -> AnalysisHouse:
    return AnalysisHouse()


@asynccontextmanager
async def running(worker: AnalysisWorker) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


async def test_no_more_jobs_run_at_once_than_the_worker_may(house: AnalysisHouse) -> None:
    async def slow(on_progress: Callable[[str, float], None]):
        await asyncio.sleep(0.02)
        return ANALYSED

    house.analyser.do = slow
    house.queue.jobs = [await house.given_a_track(UUID(int=n)) for n in range(1, 8)]
    async with running(AnalysisWorker("w1", house.bench, concurrency=3)):
        await until(lambda: house.story.count("analysis_completed") == 7)
    assert house.analyser.most_at_once == 3


async def test_a_rate_limit_holds_back_jobs_that_could_run(house: AnalysisHouse) -> None:
    house.queue.jobs = [await house.given_a_track(UUID(int=n)) for n in range(1, 5)]
    async with running(AnalysisWorker("w1", house.bench, jobs_per_minute=2)):
        await until(lambda: house.story.count("analysis_completed") == 2)
        await asyncio.sleep(0.2)
    assert len(house.queue.jobs) == 2


def test_at_most_so_many_begin_in_any_minute() -> None:
    rate = RateLimit(2)
    rate.begun(100.0)
    assert rate.wait_s(100.0) == 0
    rate.begun(130.0)
    assert rate.wait_s(131.0) == pytest.approx(29.0)
    assert rate.wait_s(160.0) == 0
    rate.begun(160.0)
    assert rate.wait_s(161.0) == pytest.approx(29.0)


def test_without_a_limit_nothing_waits() -> None:
    rate = RateLimit(None)
    for _ in range(1000):
        rate.begun(1.0)
    assert rate.wait_s(1.0) == 0


async def test_an_announced_job_does_not_wait_for_the_next_look(
    house: AnalysisHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.analysis.worker.POLL_S", 60)
    worker = AnalysisWorker("w1", house.bench)
    async with running(worker):
        await asyncio.sleep(0.05)
        house.queue.jobs = [await house.given_a_track()]
        worker.wake()
        await until(lambda: house.story[-1] == "analysis_completed")


async def test_a_job_nobody_announced_is_found(house: AnalysisHouse) -> None:
    async with running(AnalysisWorker("w1", house.bench)):
        await asyncio.sleep(0.05)
        house.queue.jobs = [await house.given_a_track()]
        await until(lambda: house.story[-1] == "analysis_completed", within_s=3)


async def test_a_cancelled_job_ends_its_child_and_frees_its_place(house: AnalysisHouse) -> None:
    house.analyser.do = hang
    first, second = [await house.given_a_track(UUID(int=n)) for n in (1, 2)]
    house.queue.jobs = [first, second]
    worker = AnalysisWorker("w1", house.bench, concurrency=1)
    async with running(worker):
        await until(house.analyser.running.is_set)
        house.analyser.running.clear()
        worker.cancel(UUID(int=3))
        worker.cancel(first.job.job_id)
        await until(house.analyser.running.is_set)
        assert house.analyser.cancelled == 1


async def test_a_stopped_worker_gives_back_all_it_has(house: AnalysisHouse) -> None:
    house.analyser.do = hang
    jobs = [await house.given_a_track(UUID(int=n)) for n in (1, 2)]
    house.queue.jobs = list(jobs)
    async with running(AnalysisWorker("w1", house.bench, concurrency=2)):
        await until(lambda: house.analyser.at_once == 2)
    assert sorted(house.queue.released) == sorted((job.job.job_id, True) for job in jobs)
    assert house.analyser.cancelled == 2


async def test_an_attempt_whose_lease_ran_out_has_failed_at_that_time(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    await house.service(t.start())
    house.queue.lost = [claimed]
    async with running(AnalysisWorker("w2", house.bench)):
        await until(lambda: bool(house.queue.recorded))
    failed = house.store.log[-1]
    assert (failed.type, failed.data["code"]) == ("track.analysis_failed", "worker_lost")
    assert failed.data["retry_at"] == "2026-01-01T12:00:20Z", "5 s after the lease ran out"
    [(standing, instead_of)] = house.queue.recorded
    assert (standing.status, standing.revision, instead_of) == ("retrying", failed.revision, claimed)


async def test_a_loss_seen_twice_is_recorded_once(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    await house.service(t.start())
    house.queue.lost = [claimed, claimed]
    async with running(AnalysisWorker("w2", house.bench)):
        await until(lambda: len(house.queue.recorded) == 2)
    assert house.story.count("analysis_failed") == 1


async def test_a_claim_that_never_began_costs_no_attempt(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    house.queue.lost = [claimed]
    async with running(AnalysisWorker("w2", house.bench)):
        await until(lambda: bool(house.queue.recorded))
    assert house.story == ["uploaded", "analysis_queued"]
    [(standing, _)] = house.queue.recorded
    assert (standing.status, standing.attempt) == ("queued", 0)


async def test_a_worker_does_not_give_up_its_own_job_after_an_outage(house: AnalysisHouse) -> None:
    house.analyser.do = hang
    claimed = await house.given_a_track()
    house.queue.jobs = [claimed]
    async with running(AnalysisWorker("w1", house.bench)):
        await until(house.analyser.running.is_set)
        house.queue.lost = [replace(claimed, lease_until=t.NOON)]
        await until(lambda: not house.queue.lost)
        await asyncio.sleep(0.05)
        assert house.story[-1] == "analysis_started"


async def test_a_job_that_cannot_be_put_right_does_not_stop_the_others(house: AnalysisHouse) -> None:
    strange, lost = [await house.given_a_track(UUID(int=n)) for n in (1, 2)]
    await house.service(t.start().model_copy(update={"track_id": UUID(int=2), "job_id": lost.job.job_id}))
    original = house.store.read_stream

    async def newer(stream: UUID, *rest: object, **more: object):
        if stream == UUID(int=1):
            raise UnknownEvent("track.remixed is not known here")
        return await original(stream, *rest, **more)

    house.store.read_stream = newer
    house.queue.lost = [strange, lost]
    async with running(AnalysisWorker("w2", house.bench)) as task:
        await until(lambda: house.story[-1] == "analysis_failed")
        assert not task.done()


def test_no_two_workers_have_the_same_name() -> None:
    assert worker_name() != worker_name()
