"""From the log to the queue: what each event does to a job's row, and what is committed when."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from analysis.result import AnalysisSettings
from commands.analysis.consumer import GROUP, EndChild, Enqueue, Record, analyses, evolve, react
from commands.analysis.reports import WORKER
from commands.analysis.standing import standing_of
from commands.issue import Issue
from commands.process import Process
from domain.errors import NotFound, Unavailable
from domain.track import commands as c
from tests.unit.commands.analysis_house import AnalysisHouse
from tests.unit.commands.memory import MemoryLog
from tests.unit.commands.memory_processes import memory_ports
from tests.unit.commands.process_house import a_process
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio


class RecordingWorkers:
    """Workers that note what they are told."""

    def __init__(self) -> None:
        self.woken = 0
        self.cancelled: list[UUID] = []

    def wake(self) -> None:
        self.woken += 1

    def cancel(self, job_id: UUID) -> None:
        self.cancelled.append(job_id)


class Following:
    """A consumer over the house."""

    def __init__(self) -> None:
        self.house = AnalysisHouse()
        self.log = MemoryLog(self.house.store)
        self.workers = RecordingWorkers()
        self.manager = analyses(self.house.queue, self.workers)
        ports = memory_ports(self.house.store)
        self.consumer = Process(self.manager, self.log, self.house.store, ports, self.house.pipeline)

    async def everything(self) -> None:
        audio = None
        for recorded in self.house.store.log:
            audio = evolve(audio, recorded)
            for effect in react(audio, recorded):
                await self.manager.perform(effect)

    async def follow_until(self, position: int) -> None:
        task = asyncio.create_task(self.consumer.run())
        try:
            async with asyncio.timeout(5):
                while self.log.groups.get(GROUP) != position:
                    await asyncio.sleep(0.005)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def following() -> Following:
    return Following()


async def test_an_analysis_asked_for_becomes_a_job_with_all_a_worker_needs(following: Following) -> None:
    claimed = await following.house.given_a_track()
    await following.everything()
    assert following.house.queue.enqueued == [claimed.job]
    assert following.workers.woken == 1


async def test_a_later_analysis_takes_its_own_settings_and_the_uploads_audio(following: Following) -> None:
    claimed = await following.house.given_a_track()
    await following.house.producer(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    await following.house.producer(
        c.RequestAnalysis(track_id=t.TRACK, preset="jazz", bpm_hint=90.0, engine="aubio", priority=9)
    )
    await following.everything()
    job = following.house.queue.enqueued[1]
    assert (job.job_id, job.number, job.priority) == (t.JOB_2, 2, 9)
    assert job.settings == AnalysisSettings("jazz", 90.0, "aubio")
    assert (job.audio_sha256, job.duration_ms) == (claimed.job.audio_sha256, 60_000.0)


async def test_a_cancelled_job_is_ended_here_too(following: Following) -> None:
    await following.house.given_a_track()
    await following.house.producer(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    await following.everything()
    [(standing, instead_of)] = following.house.queue.recorded
    assert (standing.job_id, standing.status, standing.revision, instead_of) == (
        t.JOB_1,
        "cancelled",
        3,
        None,
    )
    assert following.workers.cancelled == [t.JOB_1]


async def test_failures_and_results_reach_the_row_with_their_revision(following: Following) -> None:
    await following.house.given_a_track()
    await following.house.service(t.start(attempt=1))
    await following.house.service(t.fail(attempt=1))
    await following.house.service(t.start(attempt=2))
    await following.house.pipeline.execute(
        t.complete(attempt=2), Issue(WORKER), lambda state, command: asyncio.sleep(0, command)
    )
    await following.everything()
    failed, completed = (standing for standing, _ in following.house.queue.recorded)
    assert (failed.status, failed.attempt, failed.revision) == ("retrying", 1, 4)
    assert failed.delay_s == 5.0
    assert (failed.error_code, failed.error_detail) == ("crashed", "SIGSEGV")
    assert (completed.status, completed.attempt, completed.revision, completed.took_ms) == (
        "completed",
        2,
        6,
        5,
    )
    assert following.workers.cancelled == []


async def test_a_job_given_up_is_dead_with_its_reason(following: Following) -> None:
    await following.house.given_a_track()
    await following.house.service(t.start())
    await following.house.service(t.fail(code="undecodable"))
    await following.everything()
    [(standing, _)] = following.house.queue.recorded
    assert (standing.status, standing.error_code, standing.error_detail) == ("dead", "undecodable", "SIGSEGV")


async def test_what_a_tracks_events_ask_of_the_queue_as_data(following: Following) -> None:
    claimed = await following.house.given_a_track()
    await following.house.producer(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    uploaded, queued, abandoned = following.house.store.log
    track = a_process(following.manager)
    track.when(uploaded).then()
    track.given([uploaded]).when(queued).then(Enqueue(claimed.job))
    track.given([uploaded, queued]).when(abandoned).then(
        Record(await standing_of(following.house.store, t.TRACK, t.JOB_1)), EndChild(t.JOB_1)
    )


async def test_a_new_group_takes_in_the_whole_history(following: Following) -> None:
    for n in range(1, 4):
        await following.house.given_a_track(UUID(int=n))
    await following.follow_until(6)
    assert [job.track_id for job in following.house.queue.enqueued] == [UUID(int=n) for n in range(1, 4)]


async def test_a_group_goes_on_where_it_was(following: Following) -> None:
    await following.house.given_a_track(UUID(int=1))
    await following.log.start_group(GROUP, {"0": 2})
    await following.house.given_a_track(UUID(int=2))
    await following.follow_until(4)
    assert [job.track_id for job in following.house.queue.enqueued] == [UUID(int=2)]


async def test_a_store_that_is_away_is_waited_for(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.follower._AGAIN_S", 0.01)
    await following.log.start_group(GROUP, {"0": 0})
    await following.house.given_a_track()
    following.log.away = 2
    await following.follow_until(2)
    assert len(following.house.queue.enqueued) == 1


async def test_nothing_is_committed_before_it_took_effect(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.follower._AGAIN_S", 0.01)
    await following.log.start_group(GROUP, {"0": 0})
    await following.house.given_a_track()
    original, failures = following.house.queue.enqueue, iter((True, False))

    async def away_once(job):
        if next(failures):
            raise Unavailable("Postgres can't be reached")
        await original(job)

    following.house.queue.enqueue = away_once
    await following.follow_until(2)
    assert len(following.house.queue.enqueued) == 1


async def test_the_truth_about_a_job_is_its_own_last_event_however_far_down(
    following: Following,
) -> None:
    house = following.house
    house.store.page = 2
    await house.given_a_track()
    await house.producer(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    await house.producer(c.RequestAnalysis(track_id=t.TRACK))
    await house.producer(c.DescribeTrack(track_id=t.TRACK, title="other"))
    assert (await standing_of(house.store, t.TRACK, t.JOB_1)).status == "cancelled"
    standing = await standing_of(house.store, t.TRACK, t.JOB_2)
    assert (standing.status, standing.attempt, standing.revision) == ("queued", 0, 4)
    with pytest.raises(NotFound):
        await standing_of(house.store, t.TRACK, UUID(int=5))
