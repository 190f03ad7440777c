"""Pooled connections to Postgres for all adapters, with an answer within seconds when it is unreachable.

Postgres can be unreachable in three ways: gone (connections end), not started (none can be made) and
stopped (connections stay open and silent, which no timeout of the server ends). In the last case a deadline
on this side closes the socket.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from domain.errors import Unavailable

log = structlog.get_logger(__name__)

CONNECT_S = 2.0
"""The longest wait for a connection, from the pool or from the server."""
DEADLINE_S = 5.0
"""The longest use of one connection, unless its user gives another limit."""
_CANCEL_S = 1.0


class ImpatientConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that a cancelled caller leaves at once: psycopg waits up to 10 s for a silent server."""

    async def cancel_safe(self, *, timeout: float = _CANCEL_S) -> None:  # noqa: ASYNC109 - psycopg's
        """Cancel the running statement, or close the socket if the server does not answer."""
        try:
            await super().cancel_safe(timeout=min(timeout, _CANCEL_S))
        except psycopg.OperationalError:
            hang_up(self)
            raise


Pool = AsyncConnectionPool[ImpatientConnection]


def make_pool(serving_conninfo: str, max_size: int = 10) -> Pool:
    """Return a pool of autocommit connections; `await pool.open()` returns at once, even without a server.

    It logs when the server becomes unreachable and when it is back: once each.
    """
    away = False

    def failed(_: Pool) -> None:
        nonlocal away
        if not away:
            away = True
            log.warning("postgres.away")

    async def connected(_: ImpatientConnection) -> None:
        nonlocal away
        if away:
            away = False
            log.info("postgres.back")

    return AsyncConnectionPool(
        patient_only_for_seconds(serving_conninfo),
        connection_class=ImpatientConnection,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=max_size,
        open=False,
        configure=connected,
        reconnect_failed=failed,
        timeout=CONNECT_S,
        # The next request then connects itself; the pool's own waits grow to minutes and would delay the
        # recovery.
        reconnect_timeout=1.0,
    )


def patient_only_for_seconds(conninfo: str) -> str:
    """Return the connection string with a time limit to connect, and a check for closed connections.

    Its times are UTC, whatever the server's time zone is.
    """
    options = str(conninfo_to_dict(conninfo).get("options") or "")
    return make_conninfo(
        conninfo,
        connect_timeout=int(CONNECT_S),
        options=f"{options} -c client_connection_check_interval=1000 -c timezone=UTC".strip(),
    )


@asynccontextmanager
async def connection(pool: Pool, deadline_s: float = DEADLINE_S) -> AsyncGenerator[ImpatientConnection]:
    """Borrow a connection, checked to be alive, for at most `deadline_s`. Raises Unavailable.

    At the deadline the socket is shut, so a waiting statement ends with an error whatever the server does.
    Open transactions with `connection.transaction()`.
    """
    with _no_cancellation_lost(), unavailable():
        borrowed = await _borrow(pool)
        alarm = asyncio.get_running_loop().call_later(deadline_s, hang_up, borrowed)
        try:
            yield borrowed
        finally:
            alarm.cancel()
            await pool.putconn(borrowed)


@contextmanager
def unavailable() -> Generator[None]:
    """Turn psycopg's errors of an unreachable server into Unavailable; for sync and async code."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable("Postgres can't be reached or did not answer in time: try again") from error


@contextmanager
def _no_cancellation_lost() -> Generator[None]:
    """Re-raise a cancellation that was swallowed inside the block.

    Before Python 3.12 asyncio.wait_for(), which the pool uses, swallows a cancellation that arrives
    together with the connection; and the error of a server that dies at that moment hides another one.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    except Exception as error:
        if task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError


def hang_up(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Shut a connection's socket: a waiting caller gets OperationalError at once.

    Any thread may call it, also while another thread waits on the connection.
    """
    with suppress(OSError, psycopg.OperationalError):  # already closed
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with line:
            line.shutdown(socket.SHUT_RDWR)


async def _borrow(pool: Pool) -> ImpatientConnection:
    while _has_died(borrowed := await pool.getconn()):
        # After a restart of the server the pool is full of dead connections: take the next one at once.
        await borrowed.close()
        await pool.putconn(borrowed)
    return borrowed


def _has_died(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Return True if the server has closed the connection: an idle connection has nothing else to read."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
