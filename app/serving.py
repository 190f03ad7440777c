"""`beatledger up`: one process that serves everything from a data folder, and stops its parts in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvloop

from adapters.postgres.data_folder import DataFolder
from adapters.postgres.server import EmbeddedPostgres
from app.bootstrap import assemble
from app.connections import http_limits
from app.embedded import embedded, empty_incoming
from app.http_server import HttpServer, listening
from app.migration import prepare
from app.role_list import EMBEDDED
from app.settings import Embedded


def serve(settings: Embedded, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the URL once the API answers.

    Call it from the main thread, to which Postgres and the analysis children are bound. Raises CannotStart,
    also when the data folder is in use.
    """
    folder = DataFolder(settings.data_dir)
    # The port comes first, before slow steps and steps with lasting effects, so that a taken port fails at
    # once.
    with listening(settings.host, settings.port) as door, folder.hold():
        empty_incoming(folder)
        postgres = EmbeddedPostgres(folder)
        try:
            postgres.start()
            prepare(postgres.access())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, folder, postgres, door, ready))
        finally:
            postgres.stop()


async def _serve(
    settings: Embedded,
    folder: DataFolder,
    postgres: EmbeddedPostgres,
    door: socket.socket,
    ready: Callable[[str], None],
) -> None:
    async with embedded(settings, folder, postgres.access()) as ports, asyncio.TaskGroup() as tasks:
        supervising = tasks.create_task(postgres.supervise())
        application = assemble(settings, ports)
        # This process holds the data folder, so every worker with a lease is dead: end the leases now.
        await ports.jobs.expire_leases()
        async with application.running(*EMBEDDED):
            await HttpServer(application.api, door, ready, http_limits(settings)).serve_until_signalled()
        supervising.cancel()
