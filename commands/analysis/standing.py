"""Where each event of a track leaves its analysis job; the last one is the truth about the job."""

from __future__ import annotations

from uuid import UUID

from commands.ports import JobStanding
from domain.errors import NotFound
from domain.events import REGISTRY
from domain.log import EventStore
from domain.recorded import Recorded
from domain.track import events as e

QUEUED = "track.analysis_queued"
STARTED = "track.analysis_started"
FAILED = "track.analysis_failed"
ABANDONED = "track.analysis_abandoned"
COMPLETED = "track.analysis_completed"

JOB_EVENTS = frozenset({QUEUED, STARTED, FAILED, ABANDONED, COMPLETED})


def standing_after(recorded: Recorded) -> JobStanding:
    """Return where one of JOB_EVENTS leaves its job. Raises UnknownEvent for a newer writer's."""
    revision, at = recorded.revision, recorded.recorded_at
    match event := REGISTRY.decode(recorded):
        case e.AnalysisQueued():
            return JobStanding(event.job_id, revision, at, "queued", 0, run_after=at)
        case e.AnalysisStarted():
            return JobStanding(event.job_id, revision, at, "running", event.attempt, worker=event.worker)
        case e.AnalysisFailed():
            error = (event.code, event.detail)
            return JobStanding(
                event.job_id, revision, at, "retrying", event.attempt, event.retry_at, None, *error
            )
        case e.AnalysisAbandoned():
            status = "cancelled" if event.reason == "cancelled" else "dead"
            error = (event.reason, event.detail)
            return JobStanding(event.job_id, revision, at, status, None, None, None, *error)
        case e.AnalysisCompleted():
            return JobStanding(event.job_id, revision, at, "completed", event.attempt, took_ms=event.took_ms)
        case _:
            raise TypeError(f"not an event of a job: {recorded.type}")


async def standing_of(store: EventStore, track_id: UUID, job_id: UUID) -> JobStanding:
    """Return where the track's stream says that its job stands. Raises NotFound, Unavailable."""
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
        raise NotFound(f"track {track_id} knows nothing of job {job_id}")
    return standing_after(last)
