"""The ports of the analyses: reading audio in child processes, and the schedule of jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

from analysis.result import Analysed, AnalysisSettings
from domain.track.state import JobStatus


class UndecodableAudio(Exception):
    """The file can't be decoded; a retry would fail too. `code` is `undecodable` or `too_long`."""

    def __init__(self, code: Literal["undecodable", "too_long"], detail: str) -> None:
        super().__init__(detail)
        self.code: Literal["undecodable", "too_long"] = code
        self.detail = detail


class AnalysisCrashed(Exception):
    """The child died or hung; a retry may succeed. `code` is `crashed` or `timed_out`."""

    def __init__(self, code: Literal["crashed", "timed_out"], detail: str) -> None:
        super().__init__(detail)
        self.code: Literal["crashed", "timed_out"] = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of a quick probe of an upload by a real decoder."""

    media_type: str
    duration_ms: float
    sample_rate: int
    channels: int


class Analyser(Protocol):
    """Decoding and signal processing, in child processes that may crash or hang without harm to this one."""

    async def probe(self, path: Path) -> Probed:
        """Open, decode up to 30 s, count frames, within 10 s.

        Raises UndecodableAudio, also if the decoder crashes or hangs.
        """
        ...

    async def analyse(
        self, path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]
    ) -> Analysed:
        """Analyse a file; `on_progress(stage, percent)` is called from the event loop.

        Cancelling the task ends the child. Raises UndecodableAudio or AnalysisCrashed.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """An analysis to schedule, as its AnalysisQueued event (of this id and revision) describes it."""

    job_id: UUID
    track_id: UUID
    number: int
    priority: int
    audio_sha256: str
    settings: AnalysisSettings
    duration_ms: float
    queued_at: datetime
    revision: int
    event_id: UUID
    correlation_id: UUID
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that a worker holds a lease on. `attempt`, from 1, is the number that its commands must name.

    `started` = the attempt is recorded already, because a worker that began it has released the job.
    """

    job: QueuedJob
    attempt: int
    worker: str
    lease_until: datetime
    started: bool = False


@dataclass(frozen=True, slots=True)
class JobStanding:
    """A job after an event of its stream; fields that the event does not set are None.

    `revision` and `at` are the event's. The next attempt may begin `delay_s` seconds after `at`, or
    after now while that lies ahead of the database's clock; `worker` is the one that runs it.
    """

    job_id: UUID
    revision: int
    at: datetime
    status: JobStatus
    attempt: int | None = None
    delay_s: float | None = None
    worker: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as people see it. `queue_position` counts from 1 and is None unless the job waits.

    `estimated_seconds` is the time until its result, None if it can't be estimated.
    """

    job_id: UUID
    track_id: UUID
    number: int
    status: JobStatus
    priority: int
    attempt: int
    stage: str | None
    percent: float
    queued_at: datetime
    run_after: datetime
    error_code: str | None
    error_detail: str | None
    queue_position: int | None
    estimated_seconds: float | None


class JobQueue(Protocol):
    """The schedule of analyses: the stream decides a job's outcome, its row only holds the schedule.

    Every method raises Unavailable if the store is unreachable.
    """

    @property
    def lease_s(self) -> float:
        """The time for which a claim holds without a heartbeat."""
        ...

    async def enqueue(self, job: QueuedJob) -> None:
        """Add a job once; an existing job stays as it is."""
        ...

    async def claim(self, worker: str) -> ClaimedJob | None:
        """Take the next runnable job (priority, then age), and skip those that other workers hold."""
        ...

    async def heartbeat(self, claimed: ClaimedJob, stage: str | None, percent: float) -> bool:
        """Extend the lease and store the progress; False if the job no longer belongs to this worker."""
        ...

    async def release(self, claimed: ClaimedJob, started: bool) -> None:
        """Release a job, so that the next worker takes it at once, in the same attempt and queue position.

        `started` = the attempt is recorded. A job that no longer belongs to the worker is left alone.
        """
        ...

    async def expire_leases(self) -> None:
        """End every lease now; only for a process that knows that no other worker is alive."""
        ...

    async def expired(self) -> list[ClaimedJob]:
        """Return the running jobs whose lease ran out: their worker is lost."""
        ...

    async def record(self, standing: JobStanding, instead_of: ClaimedJob | None = None) -> None:
        """Set a job to its standing in the stream, unless its row reflects a later event.

        A row at the same event changes only if it is still claimed as in `instead_of`: that claim was
        refused.
        """
        ...

    async def get(self, job_id: UUID) -> JobView | None:
        """Return one job."""
        ...

    async def list(
        self, statuses: tuple[JobStatus, ...] = (), track_id: UUID | None = None, limit: int = 100
    ) -> list[JobView]:
        """Return jobs: running ones, then waiting ones in their order, then finished ones, newest first."""
        ...
