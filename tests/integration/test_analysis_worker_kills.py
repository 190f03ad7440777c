"""A worker process that is killed, or stopped and let go on too late: it costs its job nothing but time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.postgres.access import Access
from commands.analysis.reports import WORKER
from domain.errors import Rejected
from domain.track import commands as c
from tests.integration.analysis_plant import Plant, at_work, make_due, plant
from tests.integration.scripted_analysis import ScriptedAnalyser, audio, child_of, let_go
from tests.integration.test_analysis_worker import is_gone

pytestmark = pytest.mark.anyio

TAKEN_OVER = [
    "uploaded",
    "analysis_queued",
    "analysis_started",
    "analysis_failed",
    "analysis_started",
    "analysis_completed",
]


@pytest.fixture
async def works(database: Access, tmp_path: Path) -> AsyncIterator[Plant]:
    async with (
        ScriptedAnalyser(1) as analyser,
        plant(database.serving, tmp_path / "artefacts", analyser) as parts,
    ):
        yield parts


@asynccontextmanager
async def worker_process(database: Access, tmp_path: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.analysis_plant"),
        *(database.serving, str(tmp_path / "artefacts")),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"there\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.communicate()


async def taken_over(works: Plant, database: Access, job: object) -> None:
    """Let this process's worker finish what the other one no longer does."""
    worker = works.worker()
    async with at_work(worker):
        lost = await works.job(job, lambda v: v.status == "retrying")
        assert (lost.attempt, lost.error_code, lost.error_detail) == (
            1,
            "worker_lost",
            "worker there fell silent",
        )
        make_due(database.owner, job)
        assert (await works.status(job, "completed")).attempt == 2


async def test_a_killed_workers_job_finishes_on_another(
    works: Plant, database: Access, tmp_path: Path
) -> None:
    """One version, nothing twice, the dead one's child gone with it, and its late result refused."""
    song = audio(tmp_path, "wait", "work")
    async with at_work(works.consumer(works.worker())):
        async with worker_process(database, tmp_path) as process:
            track, job = await works.upload(song)
            child = await child_of(song)
            process.kill()
            await process.wait()
        await taken_over(works, database, job)
    assert await works.told(track) == TAKEN_OVER
    async with asyncio.timeout(5):
        while not is_gone(child):
            await asyncio.sleep(0.01)
    events = await works.story(track)
    assert (events[2].data["worker"], events[4].data["worker"]) == ("there", "here")
    assert (events[5].data["version"], events[5].data["attempt"]) == (1, 2)

    late = c.CompleteAnalysis(
        track_id=track,
        job_id=job,
        attempt=1,
        engine="scripted 1",
        settings={},
        beats_ms=(500.0, 1000.0),
        downbeats_ms=(),
        took_ms=1.0,
    )
    with pytest.raises(Rejected) as refused:
        await works.ask(late, WORKER)
    assert refused.value.rule == "stale_attempt"
    assert await works.told(track) == TAKEN_OVER


async def test_a_worker_that_comes_back_too_late_hands_nothing_in(
    works: Plant, database: Access, tmp_path: Path
) -> None:
    """Stopped in mid-job with its child, and let go on with the result in hand after another has finished."""
    song = audio(tmp_path, "wait", "work")
    async with at_work(works.consumer(works.worker())), worker_process(database, tmp_path) as process:
        track, job = await works.upload(song)
        child = await child_of(song)
        for pid in (process.pid, child):
            os.kill(pid, signal.SIGSTOP)
        let_go(song)
        await taken_over(works, database, job)
        for pid in (child, process.pid):
            os.kill(pid, signal.SIGCONT)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            told = await process.stdout.readline()
            while b"analysis.lease_lost" not in told and b"analysis.dropped" not in told:
                told = await process.stdout.readline()
        # It is as good as new.
        _, next_job = await works.upload(audio(tmp_path, "work"))
        await works.status(next_job, "completed")
    assert await works.told(track) == TAKEN_OVER
    assert (await works.status(job, "completed")).attempt == 2


async def test_a_cancelled_job_ends_in_another_process_too(
    works: Plant, database: Access, tmp_path: Path
) -> None:
    song = audio(tmp_path, "wait")
    async with at_work(works.consumer(works.worker())), worker_process(database, tmp_path):
        track, job = await works.upload(song)
        child = await child_of(song)
        await works.ask(c.CancelAnalysis(track_id=track, job_id=job))
        async with asyncio.timeout(5):
            while not is_gone(child):
                await asyncio.sleep(0.01)
    assert await works.told(track) == [*TAKEN_OVER[:3], "analysis_abandoned"]
