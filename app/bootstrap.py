"""The composition root: takes a profile's ports and puts the application together, in plain sight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI

from adapters.audio.sniff import sniff
from api.application import create_api
from api.security.tokens import TokenVerifier
from api.services import Services
from app.ports import Ports
from app.settings import Settings
from commands.analysis.attempt import Workbench
from commands.analysis.consumer import AnalysisConsumer
from commands.analysis.reports import Reports
from commands.analysis.worker import AnalysisWorker, worker_name
from commands.pipeline import Pipeline
from commands.references import References
from commands.states import States
from commands.tracks import track_handlers
from commands.upload import Uploads
from commands.versions import Versions
from domain.events import REGISTRY
from projections.progress import Progress
from projections.queries import Views
from projections.supervisor import Projections
from projections.views import VIEWS


@dataclass(frozen=True, slots=True)
class Application:
    """The whole application over one profile's ports: the API, and the loops behind it."""

    api: FastAPI
    pipeline: Pipeline
    views: Views
    projections: Projections
    consumer: AnalysisConsumer
    worker: AnalysisWorker
    states: States

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the loops for the length of the block; a loop that ends by itself ends the block with it."""
        async with asyncio.TaskGroup() as tasks:
            loops = [
                tasks.create_task(loop, name=name)
                for name, loop in {
                    "projections": self.projections.run(),
                    "analysis consumer": self.consumer.run(),
                    "analysis worker": self.worker.run(),
                }.items()
            ]
            try:
                yield
            finally:
                await _end(loops)
        await self.states.close()


async def _end(loops: list[asyncio.Task[None]]) -> None:
    # Told again until it has ended: what a loop waits on may swallow a cancellation (in Python 3.11
    # asyncio.wait_for() does, and libraries use it). Not too soon: a result being handed in takes up to 5 s.
    while running := [loop for loop in loops if not loop.done()]:
        for loop in running:
            loop.cancel()
        await asyncio.wait(running, timeout=6.0)


def assemble(settings: Settings, ports: Ports) -> Application:
    """Put the application together."""
    progress = Progress()
    versions = Versions(ports.artefacts, settings.firmware_min_version)
    states = States(ports.events, ports.snapshots)
    pipeline = Pipeline(ports.events, states, track_handlers(versions), ports.log.shard_of)
    views = Views(ports.documents, VIEWS, ports.events, progress)
    reports = Reports(pipeline, ports.events)
    worker = AnalysisWorker(
        worker_name(),
        Workbench(ports.jobs, reports, ports.artefacts, ports.analyser, versions.completed),
        settings.analysis_workers,
        settings.analysis_per_minute,
    )
    services = Services(
        pipeline=pipeline,
        uploads=Uploads(pipeline, ports.artefacts, ports.analyser, sniff),
        references=References(states),
        views=views,
        events=ports.events,
        jobs=ports.jobs,
        artefacts=ports.artefacts,
        accounts=ports.accounts,
        verifier=TokenVerifier(ports.secret),
        incoming=ports.incoming,
        readiness={"event store": lambda: _reached(ports), "views": lambda: _served(views)},
        cors_origins=settings.cors_origins,
    )
    return Application(
        api=create_api(services),
        pipeline=pipeline,
        views=views,
        projections=Projections(VIEWS, ports.documents, ports.log, ports.events, REGISTRY, progress),
        consumer=AnalysisConsumer(ports.log, ports.events, ports.jobs, worker),
        worker=worker,
        states=states,
    )


async def _reached(ports: Ports) -> None:
    await ports.events.head()


async def _served(views: Views) -> None:
    if unbuilt := [status.view for status in await views.status() if not status.generation]:
        raise RuntimeError(f"views being built: {', '.join(unbuilt)}")
