"""The rules of a track's analysis jobs: one at a time, three attempts, and a fence against late workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from domain import ids
from domain.errors import Rejected
from domain.registry import Event
from domain.track import commands as c
from domain.track import events as e
from domain.track.state import Job, Live

MAX_ATTEMPTS = 3
FIRST_BACKOFF = timedelta(seconds=5)

FINAL_CODES = ("undecodable", "too_long")
"""Failures of the file itself: another attempt would end the same."""


def the_job(state: Live, job_id: UUID) -> Job:
    """Return the track's latest job if that is the one named. Raises Rejected otherwise."""
    if state.job.job_id != job_id:
        raise Rejected("job_superseded", "a later job of this track has taken its place")
    return state.job


def requested(state: Live, command: c.RequestAnalysis) -> e.AnalysisQueued:
    """Return the job a producer asks for. Raises Rejected while another one runs."""
    if state.job.active:
        raise Rejected("analysis_running", "an analysis of this track is queued or running: cancel it first")
    asked = {k: v for k, v in command.model_dump(exclude={"track_id"}).items() if v is not None}
    return queued_again(state, "request", **asked)


def requeued(state: Live, job: Job) -> e.AnalysisQueued:
    """Return the job that follows a dead or cancelled one. Raises Rejected for any other."""
    if job.status not in ("dead", "cancelled"):
        instead = "; to analyse again, request a new analysis" if job.status == "completed" else ""
        raise Rejected(
            "job_not_dead", f"the job is {job.status}: only a dead or cancelled job can be requeued{instead}"
        )
    return queued_again(state, "requeue")


def queued_again(state: Live, reason: str, **asked: Any) -> e.AnalysisQueued:
    """Return the next job, as the one before but for what is asked."""
    job = state.job
    before = {
        "preset": job.preset,
        "bpm_hint": job.bpm_hint,
        "engine": job.engine,
        "priority": job.priority,
    }
    number = job.number + 1
    fields: dict[str, Any] = {**before, **asked, "number": number, "reason": reason}
    return e.AnalysisQueued(job_id=ids.job_id(state.profile.track_id, number), **fields)


def check_attempt(job: Job, attempt: int) -> None:
    """The fence: a worker that lost its lease finds that its attempt is no longer the current one."""
    if job.status != "running" or attempt != job.attempt:
        raise stale_attempt(job, attempt)


def stale_attempt(job: Job, attempt: int) -> Rejected:
    """Return the refusal of an attempt that is not the current one."""
    return Rejected(
        "stale_attempt",
        f"attempt {attempt} is not current: the job is {job.status} with attempt {job.attempt}",
    )


def failed(job: Job, command: c.FailAnalysis) -> Event:
    """Return what a failed attempt means: another one later, or the end of the job."""
    if command.code in FINAL_CODES:
        return e.AnalysisAbandoned(job.job_id, command.code, command.detail)
    if command.attempt >= MAX_ATTEMPTS:
        return e.AnalysisAbandoned(job.job_id, "exhausted", f"{command.code}: {command.detail}")
    retry_at = command.failed_at + backoff(command.attempt)
    return e.AnalysisFailed(job.job_id, command.attempt, command.code, command.detail, retry_at)


def backoff(attempt: int) -> timedelta:
    """Return the delay between the failure of this attempt and the next one."""
    return FIRST_BACKOFF * 2 ** (attempt - 1)
