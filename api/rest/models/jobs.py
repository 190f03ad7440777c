"""The shapes of analysis jobs."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from api.rest.models.shape import Moved, Shape
from domain.track.events import Engine, Preset
from domain.track.state import JobStatus


class JobAccepted(Moved):
    """A new analysis job waits for a worker."""

    job_id: UUID
    """Id of the new job."""


class ErrorShape(Shape):
    """Why an attempt or a job failed."""

    code: str
    """Kind of failure, such as `crashed`, `timed_out`, `undecodable` or `too_long`."""
    detail: str
    """The failure in words."""


class TrackJob(Shape):
    """The latest analysis job as the track's events tell it; the job itself has the live percentage."""

    job_id: UUID
    """Id of the job."""
    number: int
    """Which of the track's jobs it is, from 1."""
    status: JobStatus
    """`dead`: all attempts failed; the job can be requeued."""
    attempt: int
    """Number of the current or last attempt; 0 before the first one."""
    origin: Literal["upload", "request", "requeue"]
    """Origin of the job."""
    preset: Preset
    """Kind of music that the analysis assumes."""
    bpm_hint: float | None
    """Tempo, in beats per minute, near which the analysis looks."""
    engine: Engine
    """Beat tracker that is used."""
    priority: int
    """0 to 10; a higher one runs earlier."""
    queued_at: AwareDatetime
    """When the job was asked for."""
    reason: str | None
    """Why the job ended without a result."""
    error: ErrorShape | None
    """Why the last attempt failed."""
    retry_at: AwareDatetime | None
    """When the next attempt may begin."""
    disagreement: dict[str, Any] | None
    """How far this analysis differs from a correction that stays current."""


class JobShape(Shape):
    """A job of the queue."""

    job_id: UUID
    """Id of the job."""
    track_id: UUID
    """Id of the track that it analyses."""
    number: int
    """Which of the track's jobs it is, from 1."""
    status: JobStatus
    """`dead`: all attempts failed; the job can be requeued."""
    priority: int
    """0 to 10; a higher one runs earlier."""
    attempt: int
    """Number of the current or last attempt; 0 before the first one."""
    stage: str | None
    """Stage of the analysis that runs now."""
    percent: float
    """How much of the analysis is done, 0 to 100."""
    queued_at: AwareDatetime
    """When the job was asked for."""
    run_after: AwareDatetime
    """Earliest start of the next attempt."""
    error_code: str | None
    """Kind of the last attempt's failure."""
    error_detail: str | None
    """The last attempt's failure in words."""
    queue_position: int | None
    """Place in the queue, from 1; null unless the job waits."""
    estimated_seconds: float | None
    """Estimated time until the result, in seconds; null if the job has ended or nothing is known."""


class JobList(Shape):
    """Jobs: running ones, then waiting ones in the order they will run, then ended ones, newest first."""

    items: list[JobShape]
    """The jobs."""
