"""Runs one attempt at one job: starts it, analyses, delivers the result, and holds the lease meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from analysis.result import Analysed
from commands.analysis.ports import (
    Analyser,
    AnalysisCrashed,
    ClaimedJob,
    JobQueue,
    UndecodableAudio,
)
from commands.analysis.reports import Report, Reports
from commands.analysis.waiting import finish_before_cancelling, retry_while_unavailable, wait_for_event
from commands.handler import Prepare
from commands.ports import Artefacts
from domain.errors import EventTooLarge, Invalid, KeyReused, NotFound, Rejected, Unavailable
from domain.track.commands import CompleteAnalysis, FailAnalysis, StartAnalysis

log = structlog.get_logger(__name__)

PROGRESS_S = 0.5
"""The shortest time between two writes of a job's progress."""

_BEATS_PER_LEASE = 5
_DETAIL = 2000

_Reported = Literal["nothing", "begun", "ended", "unsure"]
"""The last report that the track is known to have recorded; `unsure` while one is being delivered."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """The collaborators of an attempt. `completed` returns the preparation that renders a result's version.

    `scratch` is the folder for the audio during the analysis, None = the system's.
    """

    queue: JobQueue
    reports: Reports
    artefacts: Artefacts
    analyser: Analyser
    completed: Callable[[Analysed], Prepare[Any, CompleteAnalysis]]
    scratch: Path | None = None


class LeaseLost(Exception):
    """The job's row belongs to another worker, or to none."""


class Attempt:
    """One claimed job and the work on it."""

    def __init__(self, bench: Workbench, claimed: ClaimedJob) -> None:
        self.claimed = claimed
        self._bench = bench
        self._job = claimed.job
        self._reported: _Reported = "begun" if claimed.started else "nothing"
        self._progress: tuple[str | None, float] = (None, 0.0)
        self._progressed = asyncio.Event()
        self._log = log.bind(
            job_id=str(self._job.job_id), attempt=claimed.attempt, track_id=str(self._job.track_id)
        )

    async def run(self) -> None:
        """Work until the result is delivered or the lease is lost. A cancellation ends the child process."""
        try:
            async with asyncio.TaskGroup() as both:
                holding = both.create_task(self._hold_lease())
                try:
                    await self._work()
                finally:
                    holding.cancel()
        except* LeaseLost:
            if self._reported != "ended":
                self._log.warning("analysis.lease_lost")

    async def give_back(self) -> None:
        """Release the job, so that another worker continues this attempt at once; call it after `run` ended.

        It finishes nothing, because a stopping process has a few seconds and an analysis is repeated in
        seconds. If it is unknown whether the last report was recorded, the lease runs out by itself and the
        stream decides.
        """
        if self._reported in ("nothing", "begun"):
            with suppress(Unavailable):
                await self._bench.queue.release(self.claimed, started=self._reported == "begun")

    async def _work(self) -> None:
        try:
            if not self.claimed.started:
                await self._deliver(self._start(), "begun")
            try:
                await self._analyse_and_complete()
            except (Rejected, KeyReused):
                raise
            except Exception as error:  # noqa: BLE001 - every failure is reported to the track
                code, detail = _reason(error)
                self._log.warning(
                    "analysis.attempt_failed", code=code, detail=detail, exc_info=code == "internal"
                )
                await self._deliver(self._failed(code, detail), "ended")
        except (Rejected, KeyReused) as refusal:
            await self._drop(refusal)

    async def _analyse_and_complete(self) -> None:
        began = time.perf_counter()
        analysed = await self._analysed()
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        await self._deliver(self._complete(analysed, took_ms), "ended", self._bench.completed(analysed))

    async def _analysed(self) -> Analysed:
        with tempfile.TemporaryDirectory(prefix="analysis-", dir=self._bench.scratch) as folder:
            path = Path(folder) / "audio"
            await retry_while_unavailable(
                lambda: self._bench.artefacts.fetch_to(self._job.audio_sha256, path)
            )
            return await self._bench.analyser.analyse(path, self._job.settings, self._on_progress)

    def _start(self) -> StartAnalysis:
        return StartAnalysis(
            track_id=self._job.track_id,
            job_id=self._job.job_id,
            attempt=self.claimed.attempt,
            worker=self.claimed.worker,
        )

    def _complete(self, analysed: Analysed, took_ms: float) -> CompleteAnalysis:
        return CompleteAnalysis(
            track_id=self._job.track_id,
            job_id=self._job.job_id,
            attempt=self.claimed.attempt,
            engine=analysed.engine,
            settings=dict(analysed.settings),
            beats_ms=analysed.beats_ms,
            downbeats_ms=analysed.downbeats_ms,
            took_ms=took_ms,
        )

    def _failed(self, code: str, detail: str) -> FailAnalysis:
        return failure(self.claimed, code, detail, datetime.now(UTC))

    async def _deliver(
        self, command: Report, then: Literal["begun", "ended"], prepare: Prepare[Any, Report] | None = None
    ) -> None:
        async def deliver() -> None:
            self._reported = "unsure"
            await self._bench.reports.deliver(self._job, command, prepare)
            self._reported = then

        await finish_before_cancelling(deliver())

    async def _drop(self, refusal: Rejected | KeyReused) -> None:
        rule = refusal.rule if isinstance(refusal, Rejected) else refusal.code
        self._log.info("analysis.dropped", rule=rule, detail=refusal.detail)
        self._reported = "ended"
        standing = await self._bench.reports.standing(self._job)
        await retry_while_unavailable(lambda: self._bench.queue.record(standing, instead_of=self.claimed))

    def _on_progress(self, stage: str, percent: float) -> None:
        self._progress = (stage, percent)
        self._progressed.set()

    async def _hold_lease(self) -> None:
        beat_s = self._bench.queue.lease_s / _BEATS_PER_LEASE
        while True:
            await wait_for_event(self._progressed, beat_s)
            self._progressed.clear()
            # While the queue is unavailable, only the track can tell that the job was lost.
            with suppress(Unavailable):
                if not await self._bench.queue.heartbeat(self.claimed, *self._progress):
                    raise LeaseLost
            await asyncio.sleep(min(PROGRESS_S, beat_s))


def failure(claimed: ClaimedJob, code: str, detail: str, failed_at: datetime) -> FailAnalysis:
    """Return the command that reports the attempt of a claimed job as failed."""
    return FailAnalysis(
        track_id=claimed.job.track_id,
        job_id=claimed.job.job_id,
        attempt=claimed.attempt,
        code=code,
        detail=detail[:_DETAIL],
        failed_at=failed_at,
    )


def _reason(error: Exception) -> tuple[str, str]:
    match error:
        case UndecodableAudio() | AnalysisCrashed():
            return error.code, error.detail
        case NotFound():
            return "audio_missing", error.detail
        case Invalid() | EventTooLarge():
            return "result_refused", error.detail
        case _:
            return "internal", f"{type(error).__name__}: {error}"
