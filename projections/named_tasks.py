"""Tasks that are to run once each by name, and to be started again when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import structlog

_logger = structlog.get_logger(__name__)


class NamedTasks:
    """A context whose tasks end with it. Failures are told in the log; `ensure` starts the task anew."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def ensure(self, name: str, start: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Start the task unless one of this name is running."""
        if name not in self._running:
            self._running[name] = asyncio.create_task(start(), name=name)

    async def wait(self, timeout_s: float) -> None:
        """Wait until a task ends well, but no longer than this; one that fails does not shorten the wait."""
        if not self._running:
            await asyncio.sleep(timeout_s)
            return
        done, _ = await asyncio.wait(
            self._running.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        failed = False
        for task in done:
            del self._running[task.get_name()]
            if error := task.exception():
                failed = True
                _logger.warning("task.failed", task=task.get_name(), error=repr(error))
        if failed:
            await asyncio.sleep(timeout_s)
