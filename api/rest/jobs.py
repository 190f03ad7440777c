"""Analysis jobs: where each stands, and the two things people do to them."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Path, Query, Request
from starlette.responses import Response

from api.answers import command_answer
from api.circumstances import issue_of, wait_of
from api.conditional import representation
from api.rest.headers import PREFER
from api.rest.models import JobAccepted, JobList, JobShape, Moved
from api.rest.operations import command, query
from api.rest.routing import guarded
from api.security.guard import producer, reader
from api.services import services_of
from commands.analysis.ports import (
    JobView,
)
from commands.analysis.standing import QUEUED
from domain.errors import LedgerError, NotFound, Unavailable
from domain.log import EventStore
from domain.track.commands import CancelAnalysis, RequeueAnalysis
from domain.track.state import JobStatus

router = guarded("jobs")

JobId = Annotated[UUID, Path(description="Id of the job, as the answer of the command that made it.")]

JOB = "/v1/jobs/{job_id:segment}"
ENDED = {409: ["track_archived", "job_superseded"]}
PATIENCE_S = 1.0
"""How long an unknown job may still be on its way into the queue."""

MAX_PATIENCE_S = 2.0
"""What `Prefer: wait` can make of it: a wrong id is told soon, and costs the store little."""

RECENT = 10_000
"""How many of the log's last events are searched for a job that is not in the queue."""

_FIRST_POLL_S = 0.02
_LAST_POLL_S = 0.2


@router.get("/v1/jobs", response_model=JobList, **query(reader))
async def list_jobs(
    request: Request,
    status: Annotated[
        list[JobStatus] | None, Query(description="Only jobs of these statuses; repeat it for each.")
    ] = None,
    track_id: Annotated[UUID | None, Query(description="Only jobs of this track.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many jobs to return at most.")] = 100,
) -> Response:
    """List analysis jobs. Jobs with `status=dead` ended without a result and can be requeued."""
    jobs = await services_of(request).jobs.list(tuple(status or ()), track_id, limit)
    return representation(request, msgspec.json.encode({"items": jobs}))


@router.get(JOB, response_model=JobShape, **query(reader, PREFER))
async def get_job(request: Request, job_id: JobId) -> Response:
    """Return a job with its live percentage."""
    return representation(request, msgspec.json.encode(await _job(request, job_id)))


@router.post(JOB + ":cancel", response_model=Moved, **command(producer, ENDED, {409: ["job_ended"]}))
async def cancel_job(request: Request, job_id: JobId) -> Response:
    """Cancel a job that has not ended."""
    job = await _job(request, job_id)
    command = CancelAnalysis(track_id=job.track_id, job_id=job_id)
    return command_answer(await services_of(request).pipeline.execute(command, issue_of(request)))


@router.post(
    JOB + ":requeue",
    response_model=JobAccepted,
    **command(producer, ENDED, {409: ["job_not_dead", "analysis_running"]}, status=202, located=True),
)
async def requeue_job(request: Request, job_id: JobId) -> Response:
    """Queue a dead or cancelled job again, as a new job."""
    job = await _job(request, job_id)
    command = RequeueAnalysis(track_id=job.track_id, job_id=job_id)
    answer = await services_of(request).pipeline.execute(command, issue_of(request))
    return command_answer(answer, f"/v1/jobs/{answer.body['job_id']}")


async def _job(request: Request, job_id: UUID) -> JobView:
    """Return a job. Raises NotFound, or Unavailable while the queue has not read of it in the log yet.

    The answer that names a new job is given before that, a few ms as a rule, an outage at the worst.
    """
    wait_s = wait_of(request).timeout_s
    deadline = time.monotonic() + (PATIENCE_S if wait_s is None else min(wait_s, MAX_PATIENCE_S))
    poll_s = _FIRST_POLL_S
    while (job := await services_of(request).jobs.get(job_id)) is None:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or await request.is_disconnected():
            raise await _absence(services_of(request).events, job_id)
        await asyncio.sleep(min(poll_s, left_s))
        poll_s = min(2 * poll_s, _LAST_POLL_S)
    return job


async def _absence(events: EventStore, job_id: UUID) -> LedgerError:
    """Return why a job is not in the queue: the log that leads there lags, or nobody asked for it."""
    after = max(0, await events.head() - RECENT)
    while recent := await events.read_log(after, type=QUEUED):
        if any(recorded.data.get("job_id") == str(job_id) for recorded in recent):
            return Unavailable(f"job {job_id} was accepted but has not reached the queue yet: try again")
        after = recent[-1].position
    return NotFound(f"there is no job {job_id}")
