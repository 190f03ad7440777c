"""The loop that takes jobs and runs them, and watches for jobs whose worker is gone."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from uuid import UUID

import structlog

from commands.analysis.attempt import Attempt, Workbench, failure
from commands.analysis.patience import heard, to_the_end, until_there
from commands.analysis.rate import RateLimit
from commands.ports import ClaimedJob
from domain.errors import KeyReused, LedgerError, Rejected

log = structlog.get_logger(__name__)

POLL_S = 1.0
"""How often to look for jobs that nobody here announced, and for leases that ran out."""


def worker_name() -> str:
    """Return a name that no other worker has, nor this one after a restart."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class AnalysisWorker:
    """Runs at most `concurrency` jobs at a time and begins at most `jobs_per_minute`, None = no limit.

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
        """Look for jobs now: there is a new one."""
        self._announced.set()

    def cancel(self, job_id: UUID) -> None:
        """End the job's child if it runs here: its stream and its row have said that it is over."""
        for task, attempt in self._in_hand.items():
            if attempt.claimed.job.job_id == job_id:
                _cancel_once(task)

    async def run(self) -> None:
        """Work until cancelled; then what is in hand goes back to the queue, to be taken over at once."""
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
            while not await to_the_end(self._take()):
                await heard(self._announced, POLL_S)
            self._rate.begun(clock())

    async def _take(self) -> bool:
        self._announced.clear()
        claimed = await until_there(lambda: self._bench.queue.claim(self._name))
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
            # Its lease runs out, and the attempt fails as one whose worker was lost.
            log.error("analysis.attempt_died", job_id=str(attempt.claimed.job.job_id), exc_info=error)

    async def _watch_leases(self) -> None:
        while True:
            for claimed in await until_there(self._bench.queue.expired):
                # After an outage our own leases have run out too, and their work goes on.
                if not self._has(claimed):
                    await self._lost(claimed)
            await asyncio.sleep(POLL_S)

    def _has(self, claimed: ClaimedJob) -> bool:
        ours = {(held.claimed.job.job_id, held.claimed.attempt) for held in self._in_hand.values()}
        return (claimed.job.job_id, claimed.attempt) in ours

    async def _lost(self, claimed: ClaimedJob) -> None:
        job, reports = claimed.job, self._bench.reports
        told = log.bind(job_id=str(job.job_id), attempt=claimed.attempt, lost_worker=claimed.worker)
        try:
            # At the time the lease ran out, so that whoever notices says the same.
            detail = f"worker {claimed.worker} fell silent"
            try:
                await reports.tell(job, failure(claimed, "worker_lost", detail, claimed.lease_until))
                told.warning("analysis.worker_lost")
            except (Rejected, KeyReused) as refusal:
                told.info("analysis.lease_expired", detail=refusal.detail)
            standing = await reports.standing(job)
            await until_there(lambda: self._bench.queue.record(standing, instead_of=claimed))
        except LedgerError:
            # A job that can't be put right (a newer writer's events on its track) must not stop the others.
            told.exception("analysis.lease_not_settled")

    async def _give_back(self) -> None:
        in_hand = dict(self._in_hand)
        for task in in_hand:
            _cancel_once(task)
        await asyncio.gather(*in_hand, return_exceptions=True)
        for attempt in in_hand.values():
            await attempt.give_back()


def _cancel_once(task: asyncio.Task[None]) -> None:
    # A second cancellation would cut off how the first one ends the child.
    if not task.cancelling():
        task.cancel()
