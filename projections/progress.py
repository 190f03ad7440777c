"""Wakes queries that wait for a view as soon as a projector of this process has written to it."""

from __future__ import annotations

import asyncio


class Progress:
    """Announces that a view has moved; waiting queries then read the store again. Bound to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def announce(self, view: str) -> None:
        """Wake all queries that wait for this view."""
        if waiting := self._waiting.pop(view, None):
            waiting.set_result(None)

    def next(self, view: str) -> asyncio.Future[None]:
        """Return a future of the next announcement. Take it before you read the store, to miss none."""
        if view not in self._waiting:
            self._waiting[view] = asyncio.get_running_loop().create_future()
        return self._waiting[view]
