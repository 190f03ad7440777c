"""`beatledger role …`: one process of the distributed profile; start any number, in any order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.postgres.migrated import until_migrated
from api.application import create_probes, create_waiting
from app.bootstrap import assemble
from app.connections import http_limits
from app.distributed import distributed, relay_of, serving_pool
from app.http_server import HttpServer, listening
from app.readiness import relay_ready
from app.role_list import RELAY
from app.settings import Distributed


class Reception:
    """The ASGI application of a starting process: answers "not ready" until the real application is open."""

    def __init__(self) -> None:
        self._app: ASGIApp = create_waiting("Postgres")

    def open(self, app: ASGIApp) -> None:
        """Send every request from now on to this application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._app(scope, receive, send)


def run(role: str, settings: Distributed, ready: Callable[[str], None]) -> None:
    """Run a role until SIGINT or SIGTERM; `ready` is called with the URL of its health probes.

    Call it from the main thread, to which the analysis children are bound. Raises CannotStart.
    """
    with (
        listening(settings.host, settings.port) as door,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(role, settings, door, ready))


async def _run(role: str, settings: Distributed, door: socket.socket, ready: Callable[[str], None]) -> None:
    reception = Reception()
    server = HttpServer(reception, door, ready, http_limits(settings))
    working = asyncio.create_task(_work(role, settings, reception))
    # A role that can't continue ends its process, so that its supervisor restarts it.
    working.add_done_callback(lambda _: server.stop())
    await server.serve_until_signalled()
    working.cancel()
    await asyncio.wait([working])
    if not working.cancelled():
        await working


async def _work(role: str, settings: Distributed, reception: Reception) -> None:
    """Wait for Postgres, open the role's ports, show it as ready, and work until cancelled."""
    await until_migrated(settings.database_url.get_secret_value())
    if role == RELAY:
        async with serving_pool(settings) as pool:
            relay = relay_of(settings)
            reception.open(create_probes(relay_ready(pool, relay)))
            await relay.run()
        return
    async with distributed(settings) as ports:
        application = assemble(settings, ports)
        probes = create_probes(application.readiness(role))
        reception.open(application.api if role == "api" else probes)
        async with application.running(role):
            await asyncio.Event().wait()
