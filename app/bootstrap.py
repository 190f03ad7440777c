"""The composition root: takes a profile's ports and puts the application together, in plain sight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from fastapi import FastAPI

from adapters.audio.sniff import sniff
from api.application import create_api
from api.rest.health import Readiness
from api.security.tokens import TokenVerifier
from api.services import Services
from app.ports import Ports
from app.readiness import artefacts_ready, follows, store_ready, views_follow, views_served
from app.settings import Settings
from commands.analysis.attempt import Workbench
from commands.analysis.consumer import AnalysisConsumer
from commands.analysis.reports import Reports
from commands.analysis.worker import AnalysisWorker, worker_name
from commands.pipeline import Pipeline
from commands.references import References
from commands.rollout import Rollout
from commands.states import States
from commands.tracks import track_handlers
from commands.upload import Uploads
from commands.versions import Versions
from domain.events import REGISTRY
from projections.progress import Progress
from projections.queries import Views
from projections.supervisor import Projections
from projections.views import VIEWS

Role = Literal["api", "projector", "analysis", "rollout"]
"""What an application's processes share out between them; the embedded profile's one does it all."""


@dataclass(frozen=True, slots=True)
class Application:
    """The whole application over one profile's ports: the API, and the loops behind it."""

    api: FastAPI
    readiness: Mapping[Role, Readiness]
    pipeline: Pipeline
    views: Views
    projections: Projections
    consumer: AnalysisConsumer
    worker: AnalysisWorker
    rollout: Rollout
    states: States

    @asynccontextmanager
    async def running(self, *roles: Role) -> AsyncGenerator[None]:
        """Run the loops of these roles for the length of the block; one that ends by itself ends it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [tasks.create_task(loop()) for role in roles for loop in self._loops(role)]
                try:
                    yield
                finally:
                    await _end(loops)
        finally:
            # Also when it was cancelled, which is how a role ends.
            await self.states.close()

    def _loops(self, role: Role) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        match role:
            case "api":
                return ()
            case "projector":
                return (self.projections.run,)
            case "analysis":
                return (self.consumer.run, self.worker.run)
            case "rollout":
                return (self.rollout.run,)
            case _:
                assert_never(role)


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
        cors_origins=settings.cors_origins,
    )
    consumer = AnalysisConsumer(ports.log, ports.events, ports.jobs, worker)
    rollout = Rollout(ports.log, ports.events)
    readiness: dict[Role, Readiness] = {
        "api": {**store_ready(ports), **artefacts_ready(ports), **views_served(views)},
        "projector": {**store_ready(ports), **views_served(views), **views_follow(views)},
        "analysis": {**store_ready(ports), **artefacts_ready(ports), **follows(consumer)},
        "rollout": {**store_ready(ports), **follows(rollout)},
    }
    return Application(
        api=create_api(services, readiness["api"]),
        readiness=readiness,
        pipeline=pipeline,
        views=views,
        projections=Projections(VIEWS, ports.documents, ports.log, ports.events, REGISTRY, progress),
        consumer=consumer,
        worker=worker,
        rollout=rollout,
        states=states,
    )
