"""The process manager that turns each requested analysis into a job of the queue, and ends the job.

Its effects change the rows of the queue. Each row holds the revision of the event it reflects, so events may
arrive twice or late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from analysis.result import AnalysisSettings
from commands.analysis.ports import (
    JobQueue,
    JobStanding,
    QueuedJob,
)
from commands.analysis.reports import WORKER
from commands.analysis.standing import ABANDONED, COMPLETED, FAILED, QUEUED, standing_after
from commands.following import Cause, ProcessManager
from domain.events import REGISTRY
from domain.recorded import Recorded
from domain.track.events import AnalysisQueued, TrackUploaded

GROUP = "analysis"
CATEGORY = "track"
UPLOADED = "track.uploaded"


@dataclass(frozen=True, slots=True)
class Audio:
    """The audio that every analysis of a track reads."""

    sha256: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Add this job to the queue."""

    job: QueuedJob


@dataclass(frozen=True, slots=True)
class Record:
    """Set a job's row to its standing in the stream."""

    standing: JobStanding


@dataclass(frozen=True, slots=True)
class EndChild:
    """End the job's child if it runs in this process."""

    job_id: UUID


def evolve(audio: Audio | None, recorded: Recorded) -> Audio | None:
    """Return the track's audio. Raises UnknownEvent."""
    if recorded.type != UPLOADED:
        return audio
    event = REGISTRY.decode(recorded)
    assert isinstance(event, TrackUploaded)
    return Audio(event.audio_sha256, event.duration_ms)


def react(audio: Audio | None, cause: Cause) -> Sequence[Enqueue | Record | EndChild]:
    """Return the effects of a track's event on the queue. Raises UnknownEvent."""
    assert isinstance(cause, Recorded), "analysis sets no deadlines"
    match cause.type:
        case "track.analysis_queued":
            assert audio is not None, "a track begins with its upload"
            return (Enqueue(_job(audio, cause)),)
        case "track.analysis_failed" | "track.analysis_completed":
            return (Record(standing_after(cause)),)
        case "track.analysis_abandoned":
            standing = standing_after(cause)
            return (Record(standing), EndChild(standing.job_id))
        case _:
            return ()


def _job(audio: Audio, recorded: Recorded) -> QueuedJob:
    event = REGISTRY.decode(recorded)
    assert isinstance(event, AnalysisQueued)
    return QueuedJob(
        job_id=event.job_id,
        track_id=recorded.stream,
        number=event.number,
        priority=event.priority,
        audio_sha256=audio.sha256,
        settings=AnalysisSettings(event.preset, event.bpm_hint, event.engine),
        duration_ms=audio.duration_ms,
        queued_at=recorded.recorded_at,
        revision=recorded.revision,
        event_id=recorded.event_id,
        correlation_id=recorded.correlation_id,
        traceparent=recorded.traceparent,
    )


class Workers(Protocol):
    """The workers of this process."""

    def wake(self) -> None:
        """Look for jobs now."""
        ...

    def cancel(self, job_id: UUID) -> None:
        """End this job's child if it runs here."""
        ...


def analyses(queue: JobQueue, workers: Workers) -> ProcessManager[Audio | None]:
    """Return the process manager of analyses over this queue and these workers."""

    async def perform(effect: Enqueue | Record | EndChild) -> None:
        match effect:
            case Enqueue(job):
                await queue.enqueue(job)
                workers.wake()
            case Record(standing):
                await queue.record(standing)
            case EndChild(job_id):
                workers.cancel(job_id)

    return ProcessManager(
        name=GROUP,
        categories=frozenset({CATEGORY}),
        types=frozenset({UPLOADED, QUEUED, FAILED, ABANDONED, COMPLETED}),
        caller=WORKER,
        initial=None,
        evolve=evolve,
        react=react,
        perform=perform,
    )
