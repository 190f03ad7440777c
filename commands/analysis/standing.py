"""The standing of an analysis job after each event of its track; the last event decides."""

from __future__ import annotations

from uuid import UUID

from commands.analysis.ports import JobStanding
from domain.errors import NotFound
from domain.events import REGISTRY
from domain.log import EventStore
from domain.recorded import Recorded
from domain.track import events as e
from domain.track.analyses import backoff

QUEUED = "track.analysis_queued"
STARTED = "track.analysis_started"
FAILED = "track.analysis_failed"
ABANDONED = "track.analysis_abandoned"
COMPLETED = "track.analysis_completed"

JOB_EVENTS = frozenset({QUEUED, STARTED, FAILED, ABANDONED, COMPLETED})


def standing_after(recorded: Recorded) -> JobStanding:
    """Return the job's standing after one of JOB_EVENTS. Raises UnknownEvent for a newer writer's event."""
    revision, at = recorded.revision, recorded.recorded_at
    match event := REGISTRY.decode(recorded):
        case e.AnalysisQueued():
            return JobStanding(event.job_id, revision, at, "queued", 0, delay_s=0.0)
        case e.AnalysisStarted():
            return JobStanding(event.job_id, revision, at, "running", event.attempt, worker=event.worker)
        case e.AnalysisFailed():
            error = (event.code, event.detail)
            # Not `retry_at`: it is by the clock of the worker's machine.
            delay_s = backoff(event.attempt).total_seconds()
            return JobStanding(event.job_id, revision, at, "retrying", event.attempt, delay_s, None, *error)
        case e.AnalysisAbandoned():
            status = "cancelled" if event.reason == "cancelled" else "dead"
            error = (event.reason, event.detail)
            return JobStanding(event.job_id, revision, at, status, None, None, None, *error)
        case e.AnalysisCompleted():
            return JobStanding(event.job_id, revision, at, "completed", event.attempt, took_ms=event.took_ms)
        case _:
            raise TypeError(f"not an event of a job: {recorded.type}")


async def standing_of(store: EventStore, track_id: UUID, job_id: UUID) -> JobStanding:
    """Return the standing of the job according to the track's stream. Raises NotFound, Unavailable."""
    last: Recorded | None = None
    after, more = 0, True
    while more:
        page = await store.read_stream(track_id, after=after)
        for recorded in page:
            after = recorded.revision
            if recorded.type in JOB_EVENTS and recorded.data["job_id"] == str(job_id):
                last = recorded
        more = page.more
    if last is None:
        raise NotFound(f"track {track_id} has no event of job {job_id}")
    return standing_after(last)
