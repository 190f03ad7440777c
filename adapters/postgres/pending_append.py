"""An append on its way: what its caller waits on, in a thread or in an event loop, for the one answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from adapters.postgres.batch_format import PackedAppend
from domain.errors import Unavailable
from domain.log import Appended

Outcome = Appended | Exception


class Pending(Protocol):
    """An append that is queued or on the wire. `abandoned`: nobody waits for it, so it needn't be sent."""

    append: PackedAppend
    abandoned: bool

    def settle(self, outcome: Outcome) -> asyncio.AbstractEventLoop | None:
        """Note the outcome; the event loop that must be told with `deliver`, if there is one."""
        ...

    def deliver(self) -> None:
        """Hand the outcome to the caller, in its event loop."""
        ...


def settle_all(settled: Iterable[tuple[Pending, Outcome]]) -> None:
    """Answer several callers; the caller of this holds the queue's lock, so each is answered once."""
    loops: dict[asyncio.AbstractEventLoop, list[Pending]] = {}
    for pending, outcome in settled:
        if (loop := pending.settle(outcome)) is not None:
            loops.setdefault(loop, []).append(pending)
    for loop, pendings in loops.items():
        with suppress(RuntimeError):  # the loop is closed, and its callers with it
            # One wake-up for all of them: it is a write to a pipe, and the batch may be a thousand.
            loop.call_soon_threadsafe(_deliver_all, pendings)


class PendingInThread:
    """An append whose caller is a thread."""

    __slots__ = ("_answered", "_outcome", "abandoned", "append")

    def __init__(self, append: PackedAppend) -> None:
        self.append = append
        self.abandoned = False
        self._outcome: Outcome | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self, deadline_s: float) -> Appended:
        """Return the answer or raise it; Unavailable when there is none by the deadline."""
        self._answered.acquire(timeout=deadline_s)
        if self._outcome is None:
            self.abandoned = True
            raise no_answer()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def settle(self, outcome: Outcome) -> None:
        """Wake the caller, once."""
        if self._outcome is None:
            self._outcome = outcome
            self._answered.release()

    def deliver(self) -> None:
        """Nothing is left to do: the thread is awake."""


class PendingInLoop:
    """An append whose caller is a task of an event loop."""

    __slots__ = ("_future", "_loop", "_outcome", "abandoned", "append")

    def __init__(self, append: PackedAppend) -> None:
        self.append = append
        self.abandoned = False
        self._outcome: Outcome | None = None
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Appended] = self._loop.create_future()

    async def wait(self, deadline_s: float) -> Appended:
        """Return the answer or raise it; Unavailable when there is none by the deadline."""
        alarm = self._loop.call_later(deadline_s, self._give_up)
        try:
            return await self._future
        finally:
            self.abandoned = True
            alarm.cancel()

    def settle(self, outcome: Outcome) -> asyncio.AbstractEventLoop:
        """Note the outcome, if it is the first."""
        self._outcome = self._outcome or outcome
        return self._loop

    def deliver(self) -> None:
        """Wake the caller, unless its deadline did."""
        if self._future.done():
            return
        if isinstance(self._outcome, Exception):
            self._future.set_exception(self._outcome)
        elif self._outcome is not None:
            self._future.set_result(self._outcome)

    def _give_up(self) -> None:
        if not self._future.done():
            self._future.set_exception(no_answer())


def no_answer() -> Unavailable:
    """Return the answer of an append about which nothing is known."""
    return Unavailable("the event store did not answer in time: send it again with the same key")


def _deliver_all(pendings: list[Pending]) -> None:
    for pending in pendings:
        pending.deliver()
