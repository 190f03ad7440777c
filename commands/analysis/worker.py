"""Takes jobs from the queue and runs them, and reports the jobs of lost workers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from uuid import UUID

import structlog

from commands.analysis.attempt import Attempt, Workbench, failure
from commands.analysis.ports import (
    ClaimedJob,
)
from commands.analysis.rate import RateLimit
from commands.analysis.waiting import finish_before_cancelling, retry_while_unavailable, wait_for_event
from domain.errors import KeyReused, LedgerError, Rejected

log = structlog.get_logger(__name__)

POLL_S = 1.0
"""The pause between two looks for unannounced jobs and for leases that ran out."""


def worker_name() -> str:
    """Return a name that no other worker has, and that a restart changes."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class AnalysisWorker:
    """Runs at most `concurrency` jobs at a time and starts at most `jobs_per_minute`, None = no limit.

    Any number of workers share one queue, in one process or in many.
    """

    def __init__(
        self, name: str, bench: Workbench, concurrency: int = 2, jobs_per_minute: int | None = None
    ) -> None:
        self._name = name
        self._bench = bench
        self._free = asyncio.Semaphore(concurrency)
        self._rate = RateLimit(jobs_per_minute)
        self._announced = asyncio.Event()
        self._in_hand: dict[asyncio.Task[None], Attempt] = {}

    def wake(self) -> None:
        """Look for jobs now, because a new one was queued."""
        self._announced.set()

    def cancel(self, job_id: UUID) -> None:
        """End the job's child if it runs here, because the job's stream and row say that it has ended."""
        for task, attempt in self._in_hand.items():
            if attempt.claimed.job.job_id == job_id:
                _cancel_once(task)

    async def run(self) -> None:
        """Work until cancelled. Running jobs then go back to the queue, where others can take them at
        once.
        """
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._take_jobs())
                loops.create_task(self._watch_leases())
        finally:
            await self._give_back()

    async def _take_jobs(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._free.acquire()
            await asyncio.sleep(self._rate.wait_s(clock()))
            while not await finish_before_cancelling(self._take()):
                await wait_for_event(self._announced, POLL_S)
            self._rate.begun(clock())

    async def _take(self) -> bool:
        self._announced.clear()
        claimed = await retry_while_unavailable(lambda: self._bench.queue.claim(self._name))
        if claimed is None:
            return False
        attempt = Attempt(self._bench, claimed)
        task = asyncio.create_task(attempt.run())
        self._in_hand[task] = attempt
        task.add_done_callback(self._done)
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        attempt = self._in_hand.pop(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease runs out, and the attempt then fails as `worker_lost`.
            log.error("analysis.attempt_died", job_id=str(attempt.claimed.job.job_id), exc_info=error)

    async def _watch_leases(self) -> None:
        while True:
            for claimed in await retry_while_unavailable(self._bench.queue.expired):
                # After an outage this worker's own leases have run out too, but its work continues.
                if not self._has(claimed):
                    await self._lost(claimed)
            await asyncio.sleep(POLL_S)

    def _has(self, claimed: ClaimedJob) -> bool:
        ours = {(held.claimed.job.job_id, held.claimed.attempt) for held in self._in_hand.values()}
        return (claimed.job.job_id, claimed.attempt) in ours

    async def _lost(self, claimed: ClaimedJob) -> None:
        job, reports = claimed.job, self._bench.reports
        logger = log.bind(job_id=str(job.job_id), attempt=claimed.attempt, lost_worker=claimed.worker)
        try:
            # The time of the failure is that of the lease's end, so every reporter sends the same command.
            detail = f"worker {claimed.worker} fell silent"
            try:
                await reports.deliver(job, failure(claimed, "worker_lost", detail, claimed.lease_until))
                logger.warning("analysis.worker_lost")
            except (Rejected, KeyReused) as refusal:
                logger.info("analysis.lease_expired", detail=refusal.detail)
            standing = await reports.standing(job)
            await retry_while_unavailable(lambda: self._bench.queue.record(standing, instead_of=claimed))
        except LedgerError:
            # A job that can't be settled (its track has events of a newer writer) must not stop the others.
            logger.exception("analysis.lease_not_settled")

    async def _give_back(self) -> None:
        in_hand = dict(self._in_hand)
        for task in in_hand:
            _cancel_once(task)
        await asyncio.gather(*in_hand, return_exceptions=True)
        for attempt in in_hand.values():
            await attempt.give_back()


def _cancel_once(task: asyncio.Task[None]) -> None:
    # A second cancellation would interrupt the first, which ends the child.
    if not task.cancelling():
        task.cancel()
