"""Retries while a store is unavailable, and finishes what a cancellation must not interrupt."""

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
"""The first and the longest wait between two tries; it doubles in between."""

_STOP_S = 5.0
"""The longest time for which a cancellation waits for work whose outcome must be known."""


async def retry_while_unavailable(call: Callable[[], Awaitable[_T]]) -> _T:
    """Call until it succeeds: repeat it while a store is unavailable or busy, or a race was lost."""
    wait_s = _WAITS_S[0]
    while True:
        try:
            return await call()
        except (Unavailable, Busy, RevisionConflict) as error:
            if wait_s == _WAITS_S[0]:
                log.warning("analysis.waiting", code=error.code, detail=error.detail)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, _WAITS_S[1])


async def finish_before_cancelling(work: Coroutine[Any, Any, _T]) -> _T:
    """Await work whose outcome must be known: a cancellation takes effect after it, or after `_STOP_S`."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def wait_for_event(event: asyncio.Event, within_s: float) -> None:
    """Return when the event is set, or after `within_s`."""
    # Not wait_for(): in Python 3.11 it swallows a cancellation that arrives together with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
