"""Which batches are still being handled: how far a reader may commit, and when it must wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.log import Batch

MAX_EVENTS = 500
"""Events handed out and not done with; the reader waits for room beyond it."""
MAX_BATCHES = 10_000
"""Batches not committed yet: what comes again after a crash."""


@dataclass(slots=True)
class _Open:
    batch: Batch
    left: int


class InFlight:
    """The batches of one reader in the order they came."""

    def __init__(self) -> None:
        self._open: deque[_Open] = deque()
        self._events = 0
        self._changed = asyncio.Event()

    def begin(self, batch: Batch, events: int) -> Callable[[], None]:
        """Take a batch in; the function returned is to be called once for each of its `events`."""
        entry = _Open(batch, events)
        self._open.append(entry)
        self._events += events
        self._changed.set()

        def done() -> None:
            entry.left -= 1
            self._events -= 1
            self._changed.set()

        return done

    async def room(self) -> None:
        """Return when another batch may be handed out."""
        await self._until(lambda: self._events < MAX_EVENTS and len(self._open) < MAX_BATCHES)

    async def finished(self) -> Sequence[Batch]:
        """Wait for the oldest batch; return it and those behind it that are done with as well."""
        await self._until(lambda: bool(self._open) and self._open[0].left == 0)
        done: list[Batch] = []
        while self._open and self._open[0].left == 0:
            done.append(self._open.popleft().batch)
        self._changed.set()
        return done

    async def empty(self) -> None:
        """Return when every batch is done with and was returned by `finished`."""
        await self._until(lambda: not self._open)

    async def _until(self, true: Callable[[], bool]) -> None:
        # Several wait on one event: each looks again whenever anything changed.
        while not true():
            self._changed.clear()
            await self._changed.wait()
