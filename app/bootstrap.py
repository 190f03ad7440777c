"""The composition root: builds the application from a profile's ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from fastapi import FastAPI

from adapters.audio.sniff import sniff
from api.application import create_api
from api.rest.health import Readiness
from api.security.tokens import TokenVerifier
from api.services import Limits, Services
from app.ports import Ports
from app.readiness import follows
from app.role_list import BY_NAME, ROLES, Loop
from app.settings import Settings
from commands.analysis.attempt import Workbench
from commands.analysis.reports import Reports
from commands.analysis.worker import AnalysisWorker, worker_name
from commands.devices import DEVICE_HANDLERS
from commands.handler import merged
from commands.pipeline import Pipeline
from commands.process import Process
from commands.references import References
from commands.states import States
from commands.tracks import track_handlers
from commands.upload import Uploads
from commands.versions import Versions
from domain.deciders import DECIDERS
from domain.events import REGISTRY
from projections.progress import Progress
from projections.queries import Views
from projections.supervisor import Projections
from projections.views import VIEWS


@dataclass(frozen=True)
class Application:
    """The whole application over one profile's ports: the API and the loops."""

    ports: Ports
    services: Services
    pipeline: Pipeline
    views: Views
    projections: Projections
    worker: AnalysisWorker
    processes: Mapping[str, Process]
    states: States

    @cached_property
    def api(self) -> FastAPI:
        """The API, with its own readiness checks."""
        return create_api(self.services, self.readiness("api"))

    def readiness(self, role: str) -> Readiness:
        """Return the readiness checks of a process of this role."""
        needs = BY_NAME[role].needs(self)
        return {**needs, **follows(self.processes[role])} if role in self.processes else needs

    @asynccontextmanager
    async def running(self, *roles: str) -> AsyncGenerator[None]:
        """Run the loops of these roles for the length of the block; a loop that ends, ends the block."""
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = [tasks.create_task(loop()) for role in roles for loop in self._loops(role)]
                try:
                    yield
                finally:
                    await _end(loops)
        finally:
            # Also after a cancellation, which is how a role ends.
            await self.states.close()

    def _loops(self, role: str) -> Sequence[Loop]:
        loops = BY_NAME[role].loops(self)
        return (self.processes[role].run, *loops) if role in self.processes else loops


async def _end(loops: list[asyncio.Task[None]]) -> None:
    # Cancelled repeatedly until it has ended: code that a loop awaits may swallow a cancellation (in Python
    # 3.11 asyncio.wait_for() does, and libraries use it). Not too soon: delivering a result takes up to 5
    # s.
    while running := [loop for loop in loops if not loop.done()]:
        for loop in running:
            loop.cancel()
        await asyncio.wait(running, timeout=6.0)


def assemble(settings: Settings, ports: Ports) -> Application:
    """Build the application."""
    progress = Progress()
    versions = Versions(ports.artefacts, settings.firmware_min_version)
    states = States(ports.events, ports.snapshots)
    pipeline = Pipeline(
        ports.events,
        states,
        merged(DECIDERS.values(), track_handlers(versions), DEVICE_HANDLERS),
        ports.log.shard_of,
    )
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
        limits=Limits(uploads=settings.max_uploads),
        cors_origins=settings.cors_origins,
    )
    processes = {
        role.name: Process(role.manager(ports, worker), ports.log, ports.events, ports.processes, pipeline)
        for role in ROLES
        if role.manager
    }
    return Application(
        ports=ports,
        services=services,
        pipeline=pipeline,
        views=views,
        projections=Projections(VIEWS, ports.documents, ports.log, ports.events, REGISTRY, progress),
        worker=worker,
        processes=processes,
        states=states,
    )
