"""Tasks that run once each by name, are started again when they fail, and end when they are told."""

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

    Again and again: before Python 3.12, `asyncio.wait_for` swallows a cancellation that comes together with
    what it waits for, and the task would go on for ever.
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
    """A context whose tasks end with it. Failures are told in the log; `ensure` starts the task anew."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end(self._running.values())

    def ensure(self, name: str, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Start the task unless one of this name is running."""
        if name not in self._running:
            self._running[name] = asyncio.create_task(start(), name=name)

    async def wait(self, timeout_s: float) -> None:
        """Wait until a task ends well, but no longer than this; one that fails does not shorten the wait."""
        tasks = self._running.values()
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task.exception()]
        for task in done:
            del self._running[task.get_name()]
        for task in failed:
            _logger.warning("task.failed", task=task.get_name(), error=repr(task.exception()))
        if failed:
            await asyncio.sleep(timeout_s)
