"""One attempt at a job: what the track hears of it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from analysis.result import Analysed
from commands.analysis.attempt import Attempt
from commands.analysis.ports import (
    UndecodableAudio,
)
from commands.analysis.reports import command_id
from commands.analysis.waiting import wait_for_event
from domain.errors import Unavailable
from domain.track import commands as c
from tests.unit.commands.analysis_house import ANALYSED, AUDIO, AnalysisHouse, crash
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

UPLOADED = ["uploaded", "analysis_queued"]
STARTED = [*UPLOADED, "analysis_started"]


@pytest.fixture
def house() -> AnalysisHouse:
    return AnalysisHouse()


async def hang(on_progress: Callable[[str, float], None]) -> Analysed:
    await asyncio.Event().wait()
    raise AssertionError


def failing(error: Exception) -> Callable[[Callable[[str, float], None]], object]:
    async def fail(on_progress: Callable[[str, float], None]) -> Analysed:
        raise error

    return fail


async def test_an_attempt_ends_in_a_version_made_by_the_service_in_the_jobs_name(
    house: AnalysisHouse,
) -> None:
    claimed = await house.given_a_track()
    await Attempt(house.bench, claimed).run()
    assert house.story == [*STARTED, "analysis_completed"]
    for recorded in house.store.log[2:]:
        assert recorded.actor == "service:analysis"
        assert recorded.correlation_id == claimed.job.correlation_id
        assert recorded.causation_id == claimed.job.event_id
        assert recorded.traceparent == "00-a-b-01"
        assert recorded.data["attempt"] == 1
    assert house.store.log[-1].data["version"] == 1
    assert house.store.log[-1].data["took_ms"] > 0


async def test_the_analyser_gets_the_audio_as_a_file_that_is_gone_afterwards(house: AnalysisHouse) -> None:
    await Attempt(house.bench, await house.given_a_track()).run()
    assert house.analyser.heard == [AUDIO]
    assert not house.analyser.paths[0].parent.exists()


async def test_an_attempt_run_twice_is_recorded_once(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    await Attempt(house.bench, claimed).run()
    await Attempt(house.bench, claimed).run()
    assert house.story == [*STARTED, "analysis_completed"]


async def test_a_file_that_does_not_decode_ends_the_job_at_once(house: AnalysisHouse) -> None:
    house.analyser.do = failing(UndecodableAudio("too_long", "the header lied"))
    await Attempt(house.bench, await house.given_a_track()).run()
    assert house.story == [*STARTED, "analysis_abandoned"]
    assert house.store.log[-1].data["reason"] == "too_long"


async def test_a_crash_is_a_failed_attempt_that_will_be_retried(house: AnalysisHouse) -> None:
    house.analyser.do = crash
    await Attempt(house.bench, await house.given_a_track()).run()
    assert house.story == [*STARTED, "analysis_failed"]
    assert (house.store.log[-1].data["code"], house.store.log[-1].data["detail"]) == (
        "crashed",
        "ended by SIGSEGV",
    )


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (ZeroDivisionError("x" * 5000), "internal", "ZeroDivisionError: " + "x" * 1981),
        (OSError(28, "No space left"), "internal", "OSError: [Errno 28] No space left"),
    ],
)
async def test_what_nobody_foresaw_fails_the_attempt_and_says_what_it_was(
    house: AnalysisHouse, error: Exception, code: str, detail: str
) -> None:
    house.analyser.do = failing(error)
    await Attempt(house.bench, await house.given_a_track()).run()
    assert (house.store.log[-1].data["code"], house.store.log[-1].data["detail"]) == (code, detail)


async def test_audio_that_is_gone_fails_the_attempt(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    await house.artefacts.delete(claimed.job.audio_sha256)
    await Attempt(house.bench, claimed).run()
    assert house.store.log[-1].data["code"] == "audio_missing"


async def test_a_result_the_log_does_not_take_fails_the_attempt(house: AnalysisHouse) -> None:
    async def too_much(on_progress: Callable[[str, float], None]) -> Analysed:
        return replace(ANALYSED, settings={**ANALYSED.settings, "notes": "x" * 600_000})

    house.analyser.do = too_much
    await Attempt(house.bench, await house.given_a_track()).run()
    assert (house.story[-1], house.store.log[-1].data["code"]) == ("analysis_failed", "result_refused")


async def test_a_cancelled_job_is_not_begun_and_its_row_hears_the_truth(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    await house.producer(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    await Attempt(house.bench, claimed).run()
    assert house.story == [*UPLOADED, "analysis_abandoned"]
    assert house.analyser.paths == []
    [(standing, instead_of)] = house.queue.recorded
    assert (standing.status, standing.revision, instead_of) == ("cancelled", 3, claimed)


async def test_the_result_of_an_attempt_that_is_no_longer_the_current_one_is_refused(
    house: AnalysisHouse,
) -> None:
    claimed = await house.given_a_track()

    async def meanwhile(on_progress: Callable[[str, float], None]) -> Analysed:
        await house.service(t.fail(attempt=1))
        await house.service(t.start(attempt=2))
        return ANALYSED

    house.analyser.do = meanwhile
    await Attempt(house.bench, claimed).run()
    assert house.story == [*STARTED, "analysis_failed", "analysis_started"]
    [(standing, _)] = house.queue.recorded
    assert (standing.status, standing.attempt) == ("running", 2)


async def test_the_result_for_a_track_archived_meanwhile_is_dropped(house: AnalysisHouse) -> None:
    async def meanwhile(on_progress: Callable[[str, float], None]) -> Analysed:
        await house.producer(c.ArchiveTrack(track_id=t.TRACK))
        return ANALYSED

    house.analyser.do = meanwhile
    await Attempt(house.bench, await house.given_a_track()).run()
    assert house.story == [*STARTED, "analysis_abandoned", "archived"]
    assert house.queue.recorded[0][0].status == "cancelled"


async def test_progress_reaches_the_row_with_the_heartbeat(house: AnalysisHouse) -> None:
    async def step(on_progress: Callable[[str, float], None]) -> Analysed:
        for percent in range(0, 100, 10):
            on_progress("beats", float(percent))
            await asyncio.sleep(0.005)
        return ANALYSED

    house.analyser.do = step
    await Attempt(house.bench, await house.given_a_track()).run()
    assert ("beats", 0.0) in house.queue.beats
    assert len(house.queue.beats) < 10, "not every step is written"


async def test_a_lost_lease_ends_the_child_and_hands_nothing_in(house: AnalysisHouse) -> None:
    house.analyser.do = hang
    attempt = asyncio.create_task(Attempt(house.bench, await house.given_a_track()).run())
    async with asyncio.timeout(10):
        await house.analyser.running.wait()
        house.queue.held = False
        await attempt
    assert house.analyser.cancelled == 1
    assert house.story == STARTED


async def test_a_stop_in_the_middle_gives_the_begun_attempt_back(house: AnalysisHouse) -> None:
    house.analyser.do = hang
    claimed = await house.given_a_track()
    await cancelled_while_running(house, attempt := Attempt(house.bench, claimed))
    await attempt.give_back()
    assert house.queue.released == [(t.JOB_1, True)]
    assert house.story == STARTED


async def test_a_stop_before_the_first_word_gives_the_attempt_back_as_not_begun(house: AnalysisHouse) -> None:
    attempt = Attempt(house.bench, await house.given_a_track())
    task = asyncio.create_task(attempt.run())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await attempt.give_back()
    assert house.queue.released == [(t.JOB_1, False)]
    assert house.story == UPLOADED


async def test_a_stop_while_the_result_is_handed_in_waits_for_it(house: AnalysisHouse) -> None:
    attempt = Attempt(house.bench, await house.given_a_track())
    task = asyncio.create_task(attempt.run())
    original = house.store.append

    async def stopped_in_append(slices, metadata, command_key=None, not_after=None):
        if slices[0].events[0].type == "track.analysis_completed":
            task.cancel()
            await asyncio.sleep(0.02)
        return await original(slices, metadata, command_key, not_after)

    house.store.append = stopped_in_append
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await attempt.give_back()
    assert house.story == [*STARTED, "analysis_completed"]
    assert house.queue.released == []


async def test_the_next_worker_goes_on_with_an_attempt_that_was_given_back(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    house.analyser.do = hang
    await cancelled_while_running(house, Attempt(house.bench, claimed))
    house.analyser.do = lambda on_progress: asyncio.sleep(0, ANALYSED)
    await Attempt(house.bench, replace(claimed, worker="w2", started=True)).run()
    assert house.story == [*STARTED, "analysis_completed"]
    assert house.store.log[-1].data["attempt"] == 1


async def test_a_store_that_is_away_for_a_while_costs_only_time(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    original, away = house.store.append, iter((True, False, True, False))

    async def now_and_then(slices, metadata, command_key=None, not_after=None):
        if next(away):
            raise Unavailable("Postgres can't be reached")
        return await original(slices, metadata, command_key, not_after)

    house.store.append = now_and_then
    await Attempt(house.bench, claimed).run()
    assert house.story == [*STARTED, "analysis_completed"]


async def test_an_append_whose_answer_was_lost_is_not_written_twice(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()
    original, lost = house.store.append, iter((True, True, False, False))

    async def deaf(slices, metadata, command_key=None, not_after=None):
        answer = await original(slices, metadata, command_key, not_after)
        if next(lost):
            raise Unavailable("the answer was lost")
        return answer

    house.store.append = deaf
    await Attempt(house.bench, claimed).run()
    assert house.story == [*STARTED, "analysis_completed"]


async def test_a_queue_that_is_away_does_not_stop_the_analysis(house: AnalysisHouse) -> None:
    claimed = await house.given_a_track()

    async def away(*_: object) -> bool:
        raise Unavailable("Postgres can't be reached")

    house.queue.heartbeat = away

    async def slow(on_progress: Callable[[str, float], None]) -> Analysed:
        await asyncio.sleep(0.1)
        return ANALYSED

    house.analyser.do = slow
    await Attempt(house.bench, claimed).run()
    assert house.story[-1] == "analysis_completed"


def test_repetitions_of_a_report_have_its_id_and_other_reports_another() -> None:
    said = [
        t.start(),
        t.start().model_copy(update={"worker": "w2"}),
        t.start(attempt=2),
        t.fail(),
        t.fail(code="worker_lost"),
        t.fail(attempt=2),
        t.complete(),
        t.complete(attempt=2),
        t.complete(number=2),
    ]
    assert len({command_id(command) for command in said}) == len(said)
    assert command_id(t.complete().model_copy(update={"took_ms": 6.0})) == command_id(t.complete())


async def cancelled_while_running(house: AnalysisHouse, attempt: Attempt) -> None:
    task = asyncio.create_task(attempt.run())
    await asyncio.wait_for(house.analyser.running.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert house.analyser.cancelled == 1


@pytest.mark.parametrize("steps_between", range(5))
async def test_a_cancellation_that_comes_with_the_event_is_not_swallowed(steps_between: int) -> None:
    """As wait_for() does in Python 3.11: a loop that was cancelled would go on for ever."""
    event = asyncio.Event()

    async def loop() -> None:
        while True:
            await wait_for_event(event, 5)
            event.clear()

    looping = asyncio.create_task(loop())
    await asyncio.sleep(0.01)
    event.set()
    for _ in range(steps_between):
        await asyncio.sleep(0)
    looping.cancel()
    ended, _ = await asyncio.wait({looping}, timeout=0.2)
    looping.cancel()
    assert ended
