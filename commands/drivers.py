"""Bounded concurrent drivers: each key's inputs one at a time and in order, the keys in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

AT_ONCE = 16
"""Keys that one process manager drives at once."""

_AGAIN_S = (0.1, 5.0)
"""The first and the longest wait before an input is retried; it doubles in between."""

I = TypeVar("I")  # noqa: E741


@dataclass(slots=True)
class _Waiting(Generic[I]):
    input: I
    done: Callable[[], None]
    failures: int = 0


class Drivers(Generic[I]):
    """`handle(key, input)` returns True if the input is done; False = retry it after a backoff.

    A key that waits for its retry occupies no driver.
    """

    def __init__(self, handle: Callable[[str, I], Awaitable[bool]]) -> None:
        self._handle = handle
        self._queues: dict[str, deque[_Waiting[I]]] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()

    def give(self, key: str, input: I, done: Callable[[], None]) -> None:
        """Queue an input; `done` is called once it is done."""
        if (queue := self._queues.get(key)) is None:
            queue = self._queues[key] = deque()
            self._ready.put_nowait(key)
        queue.append(_Waiting(input, done))

    def forget_waiting(self) -> None:
        """Drop the waiting inputs, which log and store deliver again; a running one ends normally."""
        for queue in self._queues.values():
            while len(queue) > 1:
                queue.pop().done()

    async def run(self) -> None:
        """Drive until cancelled. Raises the errors of `handle`."""
        async with asyncio.TaskGroup() as drivers:
            for _ in range(AT_ONCE):
                drivers.create_task(self._drive())

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self._ready.get()
            queue = self._queues[key]
            waiting = queue[0]
            if not await self._handle(key, waiting.input):
                wait_s = min(_AGAIN_S[0] * 2 ** min(waiting.failures, 10), _AGAIN_S[1])
                waiting.failures += 1
                loop.call_later(wait_s, self._ready.put_nowait, key)
                continue
            queue.popleft()
            waiting.done()
            if queue:
                self._ready.put_nowait(key)
            else:
                del self._queues[key]
