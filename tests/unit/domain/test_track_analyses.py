"""Jobs: one at a time, three attempts, and a fence against workers that come late."""

from datetime import timedelta

import msgspec
import pytest

from domain.errors import Rejected
from domain.track import commands as c
from domain.track import events as e
from domain.track.decider import decide
from domain.track.state import Analysing, Failed, Queued, Ready
from tests.unit.domain import tracks as t
from tests.unit.domain.specification import given

QUEUED = (t.uploaded(), t.queued())
RUNNING = (*QUEUED, t.started())
READY = (*RUNNING, t.completed())


def test_a_worker_starts_a_queued_job():
    given(*QUEUED).when(t.start()).then(t.started())


def test_a_job_cannot_be_started_twice():
    given(*RUNNING).when(t.start()).then_raises(Rejected, "stale_attempt")


def test_an_attempt_cannot_be_skipped():
    given(*QUEUED).when(t.start(attempt=2)).then_raises(Rejected, "stale_attempt")


def test_a_result_makes_version_one():
    given(*RUNNING).when(t.complete()).then(t.completed())


def test_a_result_before_the_start_is_refused():
    given(*QUEUED).when(t.complete()).then_raises(Rejected, "stale_attempt")


def test_a_late_result_of_an_earlier_attempt_is_refused():
    given(*RUNNING, t.failed(), t.started(attempt=2)).when(t.complete(attempt=1)).then_raises(
        Rejected, "stale_attempt"
    )


def test_a_second_result_of_the_same_attempt_is_refused():
    given(*READY).when(t.complete(version=2)).then_raises(Rejected, "stale_attempt")


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10)])
def test_a_failed_attempt_is_retried_later_and_later(attempt: int, seconds: int):
    """5 s after the first failure, twice as long after the next."""
    history = [*RUNNING]
    for number in range(1, attempt):
        history += [t.failed(attempt=number), t.started(attempt=number + 1)]
    retry_at = t.NOON + timedelta(seconds=seconds)
    given(*history).when(t.fail(attempt=attempt)).then(
        e.AnalysisFailed(t.JOB_1, attempt, "crashed", "SIGSEGV", retry_at)
    )


def test_the_third_failure_ends_the_job():
    given(*RUNNING, t.failed(), t.started(attempt=2), t.failed(attempt=2), t.started(attempt=3)).when(
        t.fail(attempt=3)
    ).then(t.abandoned(detail="crashed: SIGSEGV"))


@pytest.mark.parametrize("code", ["undecodable", "too_long"])
def test_a_failure_of_the_file_itself_is_not_retried(code: str):
    given(*RUNNING).when(t.fail(code=code)).then(t.abandoned(reason=code, detail="SIGSEGV"))


def test_a_cancelled_first_analysis_leaves_the_track_failed():
    given(*RUNNING).when(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1)).then(
        t.abandoned(reason="cancelled", detail="cancelled on request")
    )
    assert isinstance(given(*RUNNING, t.abandoned(reason="cancelled")).state, Failed)


def test_a_result_after_the_cancel_is_refused():
    given(*RUNNING, t.abandoned(reason="cancelled")).when(t.complete()).then_raises(Rejected, "stale_attempt")


def test_a_finished_job_cannot_be_cancelled():
    given(*READY).when(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1)).then_raises(Rejected, "job_ended")


def test_a_second_analysis_while_one_runs_is_refused():
    given(*RUNNING).when(c.RequestAnalysis(track_id=t.TRACK)).then_raises(Rejected, "analysis_running")


def test_a_re_analysis_changes_only_what_is_asked():
    given(*READY).when(c.RequestAnalysis(track_id=t.TRACK, preset="jazz")).then(
        t.queued(2, "request", preset="jazz")
    )


def test_a_re_analysis_leaves_the_track_ready_while_it_runs():
    again = given(*READY, t.queued(2, "request"), t.started(2))
    assert isinstance(again.state, Ready)
    assert again.state.job.status == "running"
    again.when(t.complete(number=2, version=2)).then(t.completed(version=2, number=2))


def test_a_result_for_an_earlier_job_is_refused():
    given(*READY, t.queued(2, "request"), t.started(2)).when(t.complete(version=2)).then_raises(
        Rejected, "job_superseded"
    )


def test_a_dead_job_is_requeued_as_a_new_one():
    given(*RUNNING, t.abandoned()).when(c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_1)).then(
        t.queued(2, "requeue")
    )


def test_a_running_job_cannot_be_requeued():
    given(*RUNNING).when(c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_1)).then_raises(
        Rejected, "job_not_dead"
    )


def test_who_would_requeue_a_completed_job_is_told_what_to_do_instead():
    state = given(*READY).state
    with pytest.raises(Rejected, match=r"only a dead or cancelled job .* request a new analysis"):
        decide(state, c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_1))


def test_the_state_follows_the_job():
    assert isinstance(given(*QUEUED).state, Queued)
    assert isinstance(given(*RUNNING).state, Analysing)
    assert isinstance(given(*RUNNING, t.failed()).state, Queued)
    assert isinstance(given(*RUNNING, t.abandoned()).state, Failed)
    assert isinstance(given(*READY).state, Ready)


def test_the_requeued_job_keeps_the_settings_of_the_dead_one():
    odd = msgspec.structs.replace(t.queued(), bpm_hint=174.0, engine="aubio", priority=9)
    given(t.uploaded(), odd, t.started(), t.abandoned()).when(
        c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_1)
    ).then(t.queued(2, "requeue", bpm_hint=174.0, engine="aubio", priority=9))
