"""`beatledger up`: one process that serves everything from a data folder, and stops it all in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from adapters.postgres.access import Access
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.migrate import migrate
from adapters.postgres.roles import bootstrap
from adapters.postgres.server import EmbeddedPostgres
from app.bootstrap import assemble
from app.bounded_http import BoundedHttpProtocol
from app.embedded import embedded, empty_incoming
from app.settings import Settings
from projections.views import VIEWS

log = structlog.get_logger(__name__)

GRACE_S = 10
"""How long open requests may take to end once we are told to stop."""


def prepare(access: Access) -> tuple[str, ...]:
    """Bring the database to this code's schema; return the names of the migrations applied now."""
    bootstrap(access)
    return migrate(access.owner, index_statements(VIEWS))


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the URL once requests are answered.

    From the main thread, which Postgres and the analysis children are tied to.
    Raises CannotStart, also when the data folder is in use.
    """
    folder = DataFolder(settings.data_dir)
    # The port before anything that takes time or leaves something behind: a taken one is told at once.
    with _listening(settings.host, settings.port) as listening, folder.hold():
        empty_incoming(folder)
        postgres = EmbeddedPostgres(folder)
        try:
            postgres.start()
            prepare(postgres.access())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, folder, postgres, listening, ready))
        finally:
            postgres.stop()


async def _serve(
    settings: Settings,
    folder: DataFolder,
    postgres: EmbeddedPostgres,
    listening: socket.socket,
    ready: Callable[[str], None],
) -> None:
    async with embedded(settings, folder, postgres.access()) as ports, asyncio.TaskGroup() as tasks:
        supervising = tasks.create_task(postgres.supervise())
        application = assemble(settings, ports)
        # We hold the data folder, so whoever had a lease is gone: no need to wait until it runs out.
        await ports.jobs.expire_leases()
        async with application.running():
            await _Server(application.api, listening, ready).serve_until_signalled()
        supervising.cancel()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotStart(f"can't listen on {host}:{port}: {reason}; choose another --port") from error


class _Server(uvicorn.Server):
    """Uvicorn in a loop and a process that have more to stop than the server."""

    def __init__(self, api: FastAPI, listening: socket.socket, ready: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                api,
                lifespan="off",
                access_log=False,
                log_level="warning",
                http=BoundedHttpProtocol,
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
            )
        )
        self._listening = listening
        self._ready = ready

    async def serve_until_signalled(self) -> None:
        """Serve until SIGINT or SIGTERM; a second one does not wait for open requests."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        await self.serve(sockets=[self._listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start answering, and say so."""
        await super().startup(sockets)
        host, port = self._listening.getsockname()[:2]
        self._ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to us: uvicorn would raise them anew once it has stopped, and end the rest."""
        yield

    def _stop(self) -> None:
        if not self.should_exit:
            log.info("stopping", open_connections=len(self.server_state.connections), patience_s=GRACE_S)
        self.force_exit = self.should_exit
        self.should_exit = True
