"""From an upload to its version: the analysis process manager over a real event store and real children."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.audio.analyser import ChildAnalyser
from adapters.postgres.access import Access
from analysis.synth import synthesise
from commands.analysis.consumer import GROUP
from commands.analysis.ports import JobView
from domain.track import commands as c
from tests.integration.analysis_plant import Plant, at_work, empty_queue, make_due, plant
from tests.integration.scripted_analysis import ScriptedAnalyser, audio, child_of, let_go, runs_of
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio

COMPLETED = ["uploaded", "analysis_queued", "analysis_started", "analysis_completed"]


@pytest.fixture
async def works(database: Access, tmp_path: Path) -> AsyncIterator[Plant]:
    async with (
        ScriptedAnalyser(3) as analyser,
        plant(database.serving, tmp_path / "artefacts", analyser) as parts,
    ):
        yield parts


@pytest.fixture
async def impatient(database: Access, tmp_path: Path) -> AsyncIterator[Plant]:
    async with (
        ScriptedAnalyser(2, limit_s=4) as analyser,
        plant(database.serving, tmp_path / "artefacts", analyser) as parts,
    ):
        yield parts


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_song_becomes_a_version_with_its_files(database: Access, tmp_path: Path) -> None:
    song = synthesise("edm", 124, 15, sample_rate=22_050)
    async with (
        ChildAnalyser(workers=1) as analyser,
        plant(database.serving, tmp_path / "artefacts", analyser) as parts,
    ):
        worker = parts.worker()
        async with at_work(worker, parts.consumer(worker)):
            track, job = await parts.upload(song.wav(), 15_000, preset="edm")
            view = await parts.status(job, "completed", within_s=40)
        assert await parts.told(track) == COMPLETED
        completed = (await parts.story(track))[-1].data
        assert completed["metrics"]["bpm"] == pytest.approx(124, rel=0.01)
        content = await parts.artefacts.get(completed["artefacts"]["genesis-map"]["sha256"])
        assert json.loads(content)["layers"]["rhythm"]["beatGridMs"] == completed["beats_ms"]
        assert (view.attempt, view.percent, view.queue_position) == (1, 100, None)


async def test_an_announced_job_runs_at_once(works: Plant, tmp_path: Path) -> None:
    """Twenty jobs one after the other: none waits for the worker's next look, a second later."""
    worker = works.worker()
    async with at_work(worker, works.consumer(worker)):
        await works.status((await works.upload(audio(tmp_path, "work")))[1], "completed")
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            await works.status((await works.upload(audio(tmp_path, "work")))[1], "completed")
        assert asyncio.get_running_loop().time() - began < 15


async def test_what_fails_in_one_file_fails_that_job_alone(
    impatient: Plant, database: Access, tmp_path: Path
) -> None:
    """Three attempts with 5 s and 10 s between, then a dead letter; requeued, it gets its version."""
    crashing, hanging = audio(tmp_path, "crash", "crash", "crash", "work"), audio(tmp_path, "hang")
    worker = impatient.worker()
    async with at_work(worker, impatient.consumer(worker)):
        (crashed, job), (hung, hung_job) = await impatient.upload(crashing), await impatient.upload(hanging)
        good, good_job = await impatient.upload(audio(tmp_path, "work"))
        await impatient.status(good_job, "completed")
        for attempt in (1, 2):
            await impatient.job(job, lambda v, n=attempt: (v.status, v.attempt) == ("retrying", n))
            make_due(database.owner, job)
            worker.wake()
        dead = await impatient.status(job, "dead")
        assert (await impatient.status(hung_job, "retrying")).error_code == "timed_out"
        assert [letter.job_id for letter in await impatient.queue.list(("dead",))] == [job]

        answer = await impatient.ask(c.RequeueAnalysis(track_id=crashed, job_id=job))
        again = await impatient.status(answer.body["job_id"], "completed")

    assert (dead.attempt, dead.error_code) == (3, "exhausted")
    assert dead.error_detail == "crashed: ended by SIGSEGV"
    events = await impatient.story(crashed)
    failed = [event for event in events if event.type == "track.analysis_failed"]
    waits = [datetime.fromisoformat(event.data["retry_at"]) - event.recorded_at for event in failed]
    assert waits == [pytest.approx(timedelta(seconds=s), abs=timedelta(seconds=0.5)) for s in (5, 10)]
    assert [event.type.removeprefix("track.") for event in events[-4:]] == [
        "analysis_abandoned",
        *COMPLETED[1:],
    ]
    assert (again.number, again.attempt) == (2, 1)
    assert await impatient.told(good) == COMPLETED
    # Its second attempt may have started meanwhile.
    assert (await impatient.told(hung))[:4][-1] == "analysis_failed"


async def test_a_file_that_does_not_decode_is_not_tried_again(works: Plant, tmp_path: Path) -> None:
    song = audio(tmp_path, "refuse")
    worker = works.worker()
    async with at_work(worker, works.consumer(worker)):
        track, job = await works.upload(song)
        view = await works.status(job, "dead")
    assert (view.error_code, view.error_detail) == ("too_long", "longer than 20 minutes of sound")
    assert await works.told(track) == [*COMPLETED[:3], "analysis_abandoned"]
    assert runs_of(song) == 1


async def test_progress_shows_while_it_runs(works: Plant, tmp_path: Path) -> None:
    song = audio(tmp_path, "wait")
    worker = works.worker()
    async with at_work(worker, works.consumer(worker)):
        _, job = await works.upload(song)
        view = await works.job(job, lambda v: v.percent == 50)
        assert (view.status, view.stage, view.attempt) == ("running", "beats", 1)
        let_go(song)
        await works.status(job, "completed")


async def test_a_job_cancelled_while_it_waits_never_runs(works: Plant, tmp_path: Path) -> None:
    running, waiting = audio(tmp_path, "wait"), audio(tmp_path, "work")
    worker = works.worker(concurrency=1)
    async with at_work(worker, works.consumer(worker)):
        _, first = await works.upload(running)
        await child_of(running)
        track, second = await works.upload(waiting)
        assert (await works.status(second, "queued")).queue_position == 1
        await works.ask(c.CancelAnalysis(track_id=track, job_id=second))
        await works.status(second, "cancelled")
        let_go(running)
        await works.status(first, "completed")
        third = (await works.upload(audio(tmp_path, "work")))[1]
        await works.status(third, "completed")
    assert runs_of(waiting) == 0
    assert await works.told(track) == ["uploaded", "analysis_queued", "analysis_abandoned"]


async def test_a_job_cancelled_while_it_runs_loses_its_child_at_once(works: Plant, tmp_path: Path) -> None:
    song = audio(tmp_path, "wait")
    worker = works.worker()
    async with at_work(worker, works.consumer(worker)):
        track, job = await works.upload(song)
        child = await child_of(song)
        await works.ask(c.CancelAnalysis(track_id=track, job_id=job))
        async with asyncio.timeout(3):
            while not is_gone(child):
                await asyncio.sleep(0.01)
        view = await works.status(job, "cancelled")
    assert await works.told(track) == [*COMPLETED[:3], "analysis_abandoned"]
    assert (view.error_code, view.stage) == ("cancelled", None)


async def test_a_stopped_worker_hands_its_job_over_in_the_same_attempt(works: Plant, tmp_path: Path) -> None:
    song = audio(tmp_path, "wait", "work")
    first, second = works.worker("first"), works.worker("second")
    async with at_work(works.consumer(second)):
        async with at_work(first):
            track, job = await works.upload(song)
            child = await child_of(song)
        assert is_gone(child)
        assert (await works.status(job, "queued")).queue_position == 1
        async with at_work(second):
            view = await works.status(job, "completed")
    assert view.attempt == 1
    assert await works.told(track) == COMPLETED, "begun once, ended once, nothing failed"


async def test_redelivery_of_the_whole_log_changes_no_row(works: Plant, tmp_path: Path) -> None:
    worker = works.worker()
    async with at_work(worker, works.consumer(worker)):
        done, cancelled = [await works.upload(audio(tmp_path, do)) for do in ("work", "wait")]
        await works.status(done[1], "completed")
        await works.ask(c.CancelAnalysis(track_id=cancelled[0], job_id=cancelled[1]))
        await works.status(cancelled[1], "cancelled")
    before = await _rows(works)
    head = await works.ledger.store.head()
    await works.ledger.log.start_group(GROUP, {"0": 0})
    async with at_work(worker, works.consumer(worker)):
        last = (await works.upload(audio(tmp_path, "work")))[1]
        await works.status(last, "completed")
    assert [row for row in await _rows(works) if row.job_id != last] == before
    assert len(before) == 2
    assert await works.ledger.store.head() == head + 4


async def test_rows_lost_come_back_from_the_log(works: Plant, database: Access, tmp_path: Path) -> None:
    """A job that was running then fails as one whose worker was lost, what is over stays over."""
    song = audio(tmp_path, "wait", "work")
    worker, other = works.worker("worker", concurrency=3), works.worker("other")
    async with at_work(works.consumer(worker)):
        async with at_work(worker):
            done = (await works.upload(audio(tmp_path, "work")))[1]
            await works.status(done, "completed")
            track, job = await works.upload(song)
            await child_of(song)
        await works.ledger.log.start_group(GROUP, {"0": 0})
    empty_queue(database.owner)
    async with at_work(works.consumer(other), other):
        await works.status(done, "completed")
        await works.job(job, lambda v: v.error_code == "worker_lost")
        make_due(database.owner, job)
        other.wake()
        await works.status(job, "completed")
    assert await works.told(track) == [
        *COMPLETED[:3],
        "analysis_failed",
        "analysis_started",
        "analysis_completed",
    ]


async def test_an_outage_of_postgres_in_mid_job_costs_only_its_time(
    own_postgres: OwnPostgres, tmp_path: Path
) -> None:
    """The lease runs out meanwhile; the worker does not take its own job away from itself."""
    song = audio(tmp_path, "wait")
    async with (
        ScriptedAnalyser(1) as analyser,
        plant(own_postgres.serving, tmp_path / "artefacts", analyser) as parts,
    ):
        worker = parts.worker()
        async with at_work(worker, parts.consumer(worker)):
            track, job = await parts.upload(song)
            await child_of(song)
            own_postgres.kill()
            let_go(song)
            await asyncio.sleep(2)
            own_postgres.start()
            await parts.status(job, "completed", within_s=30)
        assert await parts.told(track) == COMPLETED


async def _rows(works: Plant) -> list[JobView]:
    return sorted(await works.queue.list(), key=lambda view: view.job_id)
