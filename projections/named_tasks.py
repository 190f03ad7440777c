"""Tasks by name: each runs once at a time, is restarted when it fails, and ends with its context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self

import structlog

_logger = structlog.get_logger(__name__)

_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended.

    Cancels them repeatedly: before Python 3.12, `asyncio.wait_for` swallows a cancellation that arrives
    together with its result, and the task would continue for ever.
    """
    pending, interrupted = set(tasks), False
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        raise asyncio.CancelledError


class NamedTasks:
    """A context whose tasks end with it. Failures are logged; `ensure` starts a failed task again."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end(self._running.values())

    def ensure(self, name: str, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Start the task unless one with this name is running."""
        if name not in self._running:
            self._running[name] = asyncio.create_task(start(), name=name)

    async def wait(self, timeout_s: float) -> None:
        """Wait until a task ends without error, at most this long; failures do not shorten the wait."""
        tasks = self._running.values()
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task.exception()]
        for task in done:
            del self._running[task.get_name()]
        for task in failed:
            _logger.warning("task.failed", task=task.get_name(), error=repr(task.exception()))
        if failed:
            await asyncio.sleep(timeout_s)
