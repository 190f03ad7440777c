"""Uvicorn in a process that has more to start and to stop than the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from adapters.postgres.cannot_start import CannotStart
from app.bounded_http import BoundedHttpProtocol
from app.connections import HttpLimits, Places

log = structlog.get_logger(__name__)

GRACE_S = 10
"""How long open requests may take to end once we are told to stop."""


BACKLOG = 128
"""Connections that may wait to be accepted: all of them may get a descriptor before one can be refused."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 takes a free one. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotStart(f"can't listen on {host}:{port}: {reason}; choose another --port") from error


class HttpServer(uvicorn.Server):
    """Serves on a socket until SIGINT or SIGTERM; `ready` is called with the URL once it answers."""

    def __init__(
        self, api: ASGIApp, socket: socket.socket, ready: Callable[[str], None], limits: HttpLimits
    ) -> None:
        super().__init__(
            uvicorn.Config(
                api,
                lifespan="off",
                access_log=False,
                log_level="warning",
                http=cast("type[asyncio.Protocol]", partial(BoundedHttpProtocol, Places(limits))),
                backlog=BACKLOG,
                timeout_graceful_shutdown=GRACE_S,
                server_header=False,
            )
        )
        self._socket = socket
        self._ready = ready

    async def serve_until_signalled(self) -> None:
        """Serve until SIGINT or SIGTERM; a second one does not wait for open requests."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        await self.serve(sockets=[self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start answering, and say so."""
        await super().startup(sockets)
        host, port = self._socket.getsockname()[:2]
        self._ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def stop(self) -> None:
        """Stop once the open requests have ended; called again, at once."""
        if not self.should_exit:
            log.info("stopping", open_connections=len(self.server_state.connections), patience_s=GRACE_S)
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to us: uvicorn would raise them anew once it has stopped, and end the rest."""
        yield
