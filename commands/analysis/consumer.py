"""From the log to the queue: every analysis that was asked for becomes a job, every outcome its end."""

from __future__ import annotations

import asyncio
from typing import Protocol
from uuid import UUID

import structlog

from analysis.result import Settings
from commands.analysis.standing import ABANDONED, COMPLETED, FAILED, QUEUED, standing_after
from commands.ports import JobQueue, QueuedJob
from domain.errors import LedgerError
from domain.events import REGISTRY
from domain.log import EventStore, Log
from domain.recorded import Recorded
from domain.track.events import AnalysisQueued, TrackUploaded

log = structlog.get_logger(__name__)

GROUP = "analysis"
CATEGORY = "track"

_AGAIN_S = 1.0


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
        self._log = log
        self._store = store
        self._queue = queue
        self._crew = crew

    async def run(self) -> None:
        """Follow the log until cancelled. Whatever goes wrong, it begins again at the last commit.

        An event of a newer schema version waits for this process to be replaced: passing it by would lose
        the analysis.
        """
        while True:
            try:
                await self._follow()
            except LedgerError as error:
                log.warning("analysis.consumer_begins_again", code=error.code, detail=error.detail)
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        if not await self._log.group_exists(GROUP):
            await self._catch_up()
        async with self._log.subscribe(GROUP, [CATEGORY]) as subscription:
            async for batch in subscription:
                for recorded in batch.events:
                    await self.handle(recorded)
                await subscription.commit()

    async def _catch_up(self) -> None:
        """Read all there is from the store, then follow from where the log ended before: none is missed."""
        ends = await self._log.end_offsets([CATEGORY])
        position = 0
        while page := await self._store.read_log(position, categories=[CATEGORY]):
            for recorded in page:
                await self.handle(recorded)
            position = page[-1].position
        await self._log.start_group(GROUP, ends)

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
