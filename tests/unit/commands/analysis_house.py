"""A track in a store in memory, and a queue and an analyser that do as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from analysis.result import Analysed, AnalysisSettings
from commands.analysis.attempt import Workbench
from commands.analysis.ports import AnalysisCrashed, ClaimedJob, JobStanding, Probed, QueuedJob
from commands.analysis.reports import WORKER, Reports
from commands.issue import Caller, Issue
from commands.pipeline import Pipeline
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.command import Command
from domain.track import commands as c
from tests.unit.commands.memory import NOON, MemoryArtefacts, MemorySnapshots, MemoryStore
from tests.unit.domain import tracks as t

ADA = Caller("user:ada", frozenset({"producer"}))
AUDIO = b"RIFF a song"

ANALYSED = Analysed(
    engine="beatledger 1",
    settings={"preset": "edm", "bpm_hint": None, "engine": "beatledger"},
    duration_ms=60_000.0,
    bpm=120.0,
    beats_ms=t.BEATS,
    downbeats_ms=(),
    layers={
        "rhythm": {
            "source": "analysis",
            "beatGridMs": list(t.BEATS),
            "downbeatMs": [],
            "beatStrength": [1.0] * len(t.BEATS),
        }
    },
    agreement=None,
)

Doing = Callable[[Callable[[str, float], None]], Awaitable[Analysed]]


async def succeed(on_progress: Callable[[str, float], None]) -> Analysed:
    on_progress("beats", 40.0)
    await asyncio.sleep(0)
    return ANALYSED


async def crash(on_progress: Callable[[str, float], None]) -> Analysed:
    raise AnalysisCrashed("crashed", "ended by SIGSEGV")


class DoingAnalyser:
    """An analyser that does what it is told, and notes what it saw: `paths`, and how many were cancelled."""

    def __init__(self, do: Doing = succeed) -> None:
        self.do = do
        self.running = asyncio.Event()
        self.paths: list[Path] = []
        self.heard: list[bytes] = []
        self.at_once = self.most_at_once = self.cancelled = 0

    async def probe(self, path: Path) -> Probed:
        raise NotImplementedError

    async def analyse(
        self, path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]
    ) -> Analysed:
        self.paths.append(path)
        self.heard.append(path.read_bytes())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.running.set()
        try:
            return await self.do(on_progress)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1


class TellingQueue:
    """A queue that hands out what it is given and notes what it hears; `held` is what heartbeats answer."""

    def __init__(self, lease_s: float = 0.05) -> None:
        self.lease_s = lease_s
        self.held = True
        self.jobs: list[ClaimedJob] = []
        self.lost: list[ClaimedJob] = []
        self.enqueued: list[QueuedJob] = []
        self.beats: list[tuple[str | None, float]] = []
        self.recorded: list[tuple[JobStanding, ClaimedJob | None]] = []
        self.released: list[tuple[UUID, bool]] = []

    async def enqueue(self, job: QueuedJob) -> None:
        self.enqueued.append(job)

    async def claim(self, worker: str) -> ClaimedJob | None:
        await asyncio.sleep(0)
        return self.jobs.pop(0) if self.jobs else None

    async def heartbeat(self, claimed: ClaimedJob, stage: str | None, percent: float) -> bool:
        self.beats.append((stage, percent))
        return self.held

    async def release(self, claimed: ClaimedJob, started: bool) -> None:
        self.released.append((claimed.job.job_id, started))

    async def expire_leases(self) -> None:
        raise NotImplementedError

    async def expired(self) -> list[ClaimedJob]:
        lost, self.lost = self.lost, []
        return lost

    async def record(self, standing: JobStanding, instead_of: ClaimedJob | None = None) -> None:
        self.recorded.append((standing, instead_of))

    async def get(self, job_id: UUID) -> None:
        raise NotImplementedError

    async def list(self, *_: Any) -> list[Any]:
        raise NotImplementedError


class AnalysisHouse:
    """An uploaded track whose first analysis waits, and everything to run it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.artefacts = MemoryArtefacts()
        self.analyser = DoingAnalyser()
        self.queue = TellingQueue()
        self.versions = Versions(self.artefacts, "1.2.0", clock=lambda: NOON)
        states, handlers = States(self.store, MemorySnapshots()), track_handlers(self.versions)
        self.pipeline = Pipeline(self.store, states, handlers, lambda category, key: "0")
        self.reports = Reports(self.pipeline, self.store)

    @property
    def bench(self) -> Workbench:
        return Workbench(self.queue, self.reports, self.artefacts, self.analyser, self.versions.completed)

    async def given_a_track(self, track: UUID = t.TRACK) -> ClaimedJob:
        """Upload it, with the audio in the store, and return its job as the first claim of it."""
        audio = await self.artefacts.put(AUDIO)
        upload = t.upload(track_id=track, audio_sha256=audio.sha256)
        await self.pipeline.execute(upload, Issue(ADA, traceparent="00-a-b-01"))
        queued = self.store.log[-1]
        job = QueuedJob(
            job_id=UUID(queued.data["job_id"]),
            track_id=track,
            number=1,
            priority=5,
            audio_sha256=audio.sha256,
            settings=AnalysisSettings("edm"),
            duration_ms=60_000.0,
            queued_at=NOON,
            revision=queued.revision,
            event_id=queued.event_id,
            correlation_id=queued.correlation_id,
            traceparent=queued.traceparent,
        )
        return ClaimedJob(job, 1, "w1", NOON + timedelta(seconds=15))

    async def producer(self, command: Command) -> None:
        await self.pipeline.execute(command, Issue(ADA))

    async def service(self, command: c.StartAnalysis | c.FailAnalysis) -> None:
        await self.pipeline.execute(command, Issue(WORKER))

    @property
    def story(self) -> list[str]:
        """The types of all events, in short."""
        return [recorded.type.removeprefix("track.") for recorded in self.store.log]
