"""What the loops do when a store is away, and when a stop arrives in the middle of something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from domain.errors import Busy, RevisionConflict, Unavailable

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

_WAITS_S = (0.1, 2.0)
"""The first wait before asking again, and the longest; it doubles in between."""

_STOP_S = 5.0
"""How long a stop waits for what must not be cut in the middle."""


async def until_there(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask until there is an answer: a store that is away or busy comes back, a lost race can be run again."""
    wait_s = _WAITS_S[0]
    while True:
        try:
            return await ask()
        except (Unavailable, Busy, RevisionConflict) as error:
            if wait_s == _WAITS_S[0]:
                log.warning("analysis.waiting", code=error.code, detail=error.detail)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, _WAITS_S[1])


async def to_the_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Await work whose outcome must be known: a cancellation takes effect after it, or after five seconds."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def heard(event: asyncio.Event, within_s: float) -> None:
    """Return when the event is set, or when so much time has passed."""
    # Not wait_for(): in Python 3.11 it swallows a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
