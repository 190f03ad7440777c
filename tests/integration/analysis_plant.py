"""Analysis as a process has it, over real servers: event store, pipeline, queue, artefacts, worker, consumer.

`python -m tests.integration.analysis_plant CONNINFO ARTEFACTS` is a process with a worker alone. It prints a
line when it works, and then its log.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from adapters.artefacts.folder import FolderArtefacts
from adapters.postgres.jobs import PostgresJobQueue
from adapters.postgres.processes import process_ports
from adapters.postgres.snapshots import PostgresSnapshots
from commands.analysis.attempt import Workbench
from commands.analysis.consumer import analyses
from commands.analysis.ports import Analyser, JobView
from commands.analysis.reports import Reports
from commands.analysis.worker import AnalysisWorker
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from commands.process import Process
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.command import Command
from domain.recorded import Recorded
from domain.track.commands import UploadTrack
from tests.integration.scripted_analysis import ScriptedAnalyser
from tests.servers.ledgers import Ledger, open_ledger

LEASE_S = 1.5
ADA = Caller("user:ada", frozenset({"producer"}))


@dataclass(frozen=True)
class Plant:
    """The parts of one process, and how a test asks them."""

    ledger: Ledger
    queue: PostgresJobQueue
    artefacts: FolderArtefacts
    pipeline: Pipeline
    bench: Workbench

    def worker(self, name: str = "here", concurrency: int = 2) -> AnalysisWorker:
        return AnalysisWorker(name, self.bench, concurrency)

    def consumer(self, worker: AnalysisWorker) -> Process:
        manager = analyses(self.queue, worker)
        ports = process_ports(self.ledger.pool)
        return Process(manager, self.ledger.log, self.ledger.store, ports, self.pipeline)

    async def upload(self, song: bytes, duration_ms: float = 11_000, **fields: Any) -> tuple[UUID, UUID]:
        """Return the ids of the new track and its job."""
        stored = await self.artefacts.put(song)
        track = UUID(str(uuid7()))
        command = UploadTrack(
            track_id=track,
            title="Song",
            filename="song.wav",
            media_type="audio/wav",
            audio_sha256=stored.sha256,
            audio_bytes=len(song),
            duration_ms=duration_ms,
            **fields,
        )
        answer = await self.pipeline.execute(command, Issue(ADA, traceparent="00-trace-span-01"))
        return track, UUID(str(answer.body["job_id"]))

    async def ask(self, command: Command, caller: Caller = ADA) -> Answer:
        return await self.pipeline.execute(command, Issue(caller))

    async def story(self, track: UUID) -> list[Recorded]:
        return await self.ledger.store.read_stream(track)

    async def told(self, track: UUID) -> list[str]:
        """The types of the track's events, in short."""
        return [recorded.type.removeprefix("track.") for recorded in await self.story(track)]

    async def job(self, job: UUID, is_so: Callable[[JobView], bool], within_s: float = 15) -> JobView:
        """Return the job once it is so."""
        view = None
        try:
            async with asyncio.timeout(within_s):
                while (view := await self.queue.get(job)) is None or not is_so(view):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"it came to {view}") from None
        return view

    async def status(self, job: UUID, status: str, within_s: float = 15) -> JobView:
        return await self.job(job, lambda view: view.status == status, within_s)


@asynccontextmanager
async def plant(serving: str, artefacts: Path, analyser: Analyser) -> AsyncGenerator[Plant]:
    async with open_ledger(serving) as ledger:
        store, folder = ledger.store, FolderArtefacts(artefacts)
        queue, versions = PostgresJobQueue(ledger.pool, LEASE_S), Versions(folder)
        states = States(store, PostgresSnapshots(ledger.pool))
        pipeline = Pipeline(store, states, track_handlers(versions), ledger.log.shard_of)
        bench = Workbench(queue, Reports(pipeline, store), folder, analyser, versions.completed)
        yield Plant(ledger, queue, folder, pipeline, bench)
        await states.close()


@asynccontextmanager
async def at_work(*loops: Any) -> AsyncGenerator[None]:
    """Run these loops; none may end by itself."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_due(owner: str, job: UUID) -> None:
    """Let a retry's waiting time be over."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("UPDATE analysis_jobs SET run_after = now() WHERE job_id = %s", [job])


def empty_queue(owner: str) -> None:
    """Lose every row."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("DELETE FROM analysis_jobs")


async def work_alone(serving: str, artefacts: Path) -> None:
    async with ScriptedAnalyser(2) as analyser, plant(serving, artefacts, analyser) as parts:
        sys.stdout.write("there\n")
        sys.stdout.flush()
        await parts.worker("there").run()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(work_alone(sys.argv[1], Path(sys.argv[2])))
