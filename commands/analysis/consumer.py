"""From the log to the queue: every analysis that was asked for becomes a job, every outcome its end."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from analysis.result import Settings
from commands.analysis.standing import ABANDONED, COMPLETED, FAILED, QUEUED, standing_after
from commands.following import Follower
from commands.ports import JobQueue, QueuedJob
from domain.events import REGISTRY
from domain.lag import Lag
from domain.log import EventStore, Log
from domain.recorded import Recorded
from domain.track.events import AnalysisQueued, TrackUploaded

GROUP = "analysis"
CATEGORY = "track"


class Crew(Protocol):
    """The workers of this process."""

    def wake(self) -> None:
        """Look for jobs now."""
        ...

    def cancel(self, job_id: UUID) -> None:
        """End this job's child if it runs here."""
        ...


class AnalysisConsumer:
    """Follows the tracks' events in the group `analysis`.

    Each row knows the revision of the event it reflects, so events may come twice and late.
    """

    def __init__(self, log: Log, store: EventStore, queue: JobQueue, crew: Crew) -> None:
        self._follower = Follower(GROUP, [CATEGORY], log, store, self.handle)
        self._store = store
        self._queue = queue
        self._crew = crew

    async def run(self) -> None:
        """Follow the log until cancelled.

        An event of a newer schema version waits for this process to be replaced: passing it by would lose
        the analysis.
        """
        await self._follower.run()

    async def lag(self, now: datetime) -> Lag | None:
        """Return how far this process is behind, None before it has seen anything. Raises Unavailable."""
        return await self._follower.lag(now)

    async def handle(self, recorded: Recorded) -> None:
        """Let one event take effect on the queue. Raises UnknownEvent, Unavailable."""
        if recorded.type == QUEUED:
            await self._queue.enqueue(await self._job(recorded))
            self._crew.wake()
        elif recorded.type in (FAILED, ABANDONED, COMPLETED):
            standing = standing_after(recorded)
            await self._queue.record(standing)
            if recorded.type == ABANDONED:
                self._crew.cancel(standing.job_id)

    async def _job(self, recorded: Recorded) -> QueuedJob:
        event = REGISTRY.decode(recorded)
        first = await self._store.read_stream(recorded.stream, up_to=1)
        uploaded = REGISTRY.decode(first[0])
        assert isinstance(event, AnalysisQueued)
        assert isinstance(uploaded, TrackUploaded)
        return QueuedJob(
            job_id=event.job_id,
            track_id=recorded.stream,
            number=event.number,
            priority=event.priority,
            audio_sha256=uploaded.audio_sha256,
            settings=Settings(event.preset, event.bpm_hint, event.engine),
            duration_ms=uploaded.duration_ms,
            queued_at=recorded.recorded_at,
            revision=recorded.revision,
            event_id=recorded.event_id,
            correlation_id=recorded.correlation_id,
            traceparent=recorded.traceparent,
        )
