"""The batches that are being handled: how far a reader may commit, and when it must wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from domain.log import PAGE_BYTES, Batch

MAX_EVENTS = 500
"""The most unfinished events; beyond it the reader waits."""
MAX_BYTES = 5 * PAGE_BYTES
"""The most JSON of these events, since each may hold a grid."""
MAX_BATCHES = 10_000
"""The most uncommitted batches, which come again after a crash."""


@dataclass(slots=True)
class _Open:
    batch: Batch
    left: int


class InFlight:
    """The batches of one reader in the order of their arrival."""

    def __init__(self) -> None:
        self._open: deque[_Open] = deque()
        self._events = 0
        self._bytes = 0.0
        self._changed = asyncio.Event()

    def begin(self, batch: Batch, events: int) -> Callable[[], None]:
        """Add a batch; call the returned function once for each of its `events`."""
        # Keeps no events: finished ones must not be held in memory by an unfinished one before them.
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
        """Wait for the oldest batch; return it and the finished batches behind it."""
        await self._until(lambda: bool(self._open) and self._open[0].left == 0)
        done: list[Batch] = []
        while self._open and self._open[0].left == 0:
            done.append(self._open.popleft().batch)
        self._changed.set()
        return done

    async def empty(self) -> None:
        """Return when every batch is finished and was returned by `finished`."""
        await self._until(lambda: not self._open)

    def _has_room(self) -> bool:
        return self._events < MAX_EVENTS and self._bytes < MAX_BYTES and len(self._open) < MAX_BATCHES

    async def _until(self, true: Callable[[], bool]) -> None:
        # Several callers wait on one event: each checks again after every change.
        while not true():
            self._changed.clear()
            await self._changed.wait()
