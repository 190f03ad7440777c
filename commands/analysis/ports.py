"""What analyses ask of the world: reading audio in child processes, and the schedule of jobs."""

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
    """The file cannot be decoded; trying again gives the same. `code` is `undecodable` or `too_long`."""

    def __init__(self, code: Literal["undecodable", "too_long"], detail: str) -> None:
        super().__init__(detail)
        self.code: Literal["undecodable", "too_long"] = code
        self.detail = detail


class AnalysisCrashed(Exception):
    """The child died or hung; another attempt may work. `code` is `crashed` or `timed_out`."""

    def __init__(self, code: Literal["crashed", "timed_out"], detail: str) -> None:
        super().__init__(detail)
        self.code: Literal["crashed", "timed_out"] = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Probed:
    """What a quick look by a real decoder proved about an upload."""

    media_type: str
    duration_ms: float
    sample_rate: int
    channels: int


class Analyser(Protocol):
    """Decoding and signal processing, in child processes that may crash or hang without harm to us."""

    async def probe(self, path: Path) -> Probed:
        """Open, decode up to 30 s, count frames, within 10 s.

        Raises UndecodableAudio, also when the decoder crashes or hangs on it.
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
    """A job a worker holds a lease on. `attempt` is 1.., the number this run must name in its commands.

    `started` tells that the attempt is recorded already: the worker that began it gave it back.
    """

    job: QueuedJob
    attempt: int
    worker: str
    lease_until: datetime
    started: bool = False


@dataclass(frozen=True, slots=True)
class JobStanding:
    """Where an event of its stream leaves a job; what the event does not say is None.

    `revision` and `at` are the event's. `run_after` is the earliest time of the next attempt, `worker`
    the one that runs it.
    """

    job_id: UUID
    revision: int
    at: datetime
    status: JobStatus
    attempt: int | None = None
    run_after: datetime | None = None
    worker: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as people see it. `queue_position` counts from 1 and is None unless it waits.

    `estimated_seconds` is the time until its result, None when too little is known to say.
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
    """The schedule of analyses: the stream is the truth of a job's outcome, its row that of the schedule.

    All doors raise Unavailable when the store is away.
    """

    @property
    def lease_s(self) -> float:
        """How long a claim holds without a heartbeat."""
        ...

    async def enqueue(self, job: QueuedJob) -> None:
        """Add a job once; a job that is there stays as it is."""
        ...

    async def claim(self, worker: str) -> ClaimedJob | None:
        """Take the next runnable job (priority, then age), skipping those others hold."""
        ...

    async def heartbeat(self, claimed: ClaimedJob, stage: str | None, percent: float) -> bool:
        """Extend the lease and note the progress; False when the job is no longer this worker's."""
        ...

    async def release(self, claimed: ClaimedJob, started: bool) -> None:
        """Give a job back for the next worker to take at once, in the same attempt and the same place.

        `started` tells that the attempt is recorded. Nothing happens when the job is no longer the worker's.
        """
        ...

    async def expire_leases(self) -> None:
        """End every lease now: for a process that knows it is the first, so that no worker is alive."""
        ...

    async def expired(self) -> list[ClaimedJob]:
        """Return running jobs whose lease ran out: their worker is lost."""
        ...

    async def record(self, standing: JobStanding, instead_of: ClaimedJob | None = None) -> None:
        """Bring a job to where its stream says it stands, unless its row knows of a later event.

        A row at the same event changes only if it is still claimed as `instead_of` says: that claim was
        refused.
        """
        ...

    async def get(self, job_id: UUID) -> JobView | None:
        """Return one job."""
        ...

    async def list(
        self, statuses: tuple[JobStatus, ...] = (), track_id: UUID | None = None, limit: int = 100
    ) -> list[JobView]:
        """Return jobs, running first, then in the order they will run, then the finished, newest first."""
        ...
