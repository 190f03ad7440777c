"""Which batches are still being handled: how far a reader may commit, and when it must wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from domain.log import PAGE_BYTES, Batch

MAX_EVENTS = 500
"""Events handed out and not done with; the reader waits for room beyond it."""
MAX_BYTES = 5 * PAGE_BYTES
"""The JSON of these events: each may hold a grid."""
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
        self._bytes = 0.0
        self._changed = asyncio.Event()

    def begin(self, batch: Batch, events: int) -> Callable[[], None]:
        """Take a batch in; the function returned is to be called once for each of its `events`."""
        # Without its events: those that are done with must not be held by one before them that is not.
        entry, share = _Open(replace(batch, events=()), events), batch.bytes / max(events, 1)
        self._open.append(entry)
        self._events += events
        self._bytes += share * events
        self._changed.set()

        def done() -> None:
            entry.left -= 1
            self._events -= 1
            self._bytes -= share
            self._changed.set()

        return done

    async def room(self) -> None:
        """Return when another batch may be handed out."""
        await self._until(self._has_room)

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

    def _has_room(self) -> bool:
        return self._events < MAX_EVENTS and self._bytes < MAX_BYTES and len(self._open) < MAX_BATCHES

    async def _until(self, true: Callable[[], bool]) -> None:
        # Several wait on one event: each looks again whenever anything changed.
        while not true():
            self._changed.clear()
            await self._changed.wait()
