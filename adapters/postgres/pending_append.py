"""An append on its way: what its caller waits on, in a thread or in an event loop, for the one answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress

from adapters.postgres.batch_format import PackedAppend
from domain.errors import Unavailable
from domain.log import Appended

Outcome = Appended | Exception


class _Pending:
    """An append that is queued or on the wire."""

    __slots__ = ("abandoned", "append", "outcome")

    def __init__(self, append: PackedAppend) -> None:
        self.append = append
        self.abandoned = False
        self.outcome: Outcome | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for an outcome: nothing else needs to be sent."""
        return self.outcome is None and not self.abandoned

    def answer(self) -> Appended:
        """Return the outcome or raise it; Unavailable when there is none."""
        if self.outcome is None:
            raise no_answer()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class PendingInThread(_Pending):
    """An append whose caller is a thread.

    The threads of a batch wake one another in a chain. Woken all at once they fight for the interpreter's
    lock: ten context switches an append instead of two (docs/adr/0003-group-commit.md).
    """

    __slots__ = ("_answered", "_next")

    def __init__(self, append: PackedAppend) -> None:
        super().__init__(append)
        self._next: PendingInThread | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self, deadline_s: float) -> Appended:
        """Return the answer or raise it; Unavailable when there is none by the deadline."""
        woken = False
        try:
            woken = self._answered.acquire(timeout=deadline_s)
        finally:
            if not woken:
                with _chaining:  # from here on no chain includes us, or we see whom we have to wake
                    self.abandoned = True
            if self._next is not None:
                self._next.wake()
        return self.answer()

    def wake(self) -> None:
        """Let the caller go on, who wakes the next."""
        self._answered.release()

    @staticmethod
    def chain(settled: Sequence[PendingInThread]) -> PendingInThread | None:
        """Have each wake the one after it; returns the first."""
        first: PendingInThread | None = None
        with _chaining:
            for pending in reversed(settled):
                if not pending.abandoned:
                    pending._next, first = first, pending
        return first


class PendingInLoop(_Pending):
    """An append whose caller is a task of an event loop."""

    __slots__ = ("_awake", "loop")

    def __init__(self, append: PackedAppend) -> None:
        super().__init__(append)
        self.loop = asyncio.get_running_loop()
        self._awake: asyncio.Future[None] = self.loop.create_future()

    async def wait(self, deadline_s: float) -> Appended:
        """Return the answer or raise it; Unavailable when there is none by the deadline."""
        alarm = self.loop.call_later(deadline_s, self.wake)
        try:
            await self._awake
        finally:
            self.abandoned = True
            alarm.cancel()
        return self.answer()

    def wake(self) -> None:
        """Let the caller go on, unless it does already; in its event loop."""
        if not self._awake.done():
            self._awake.set_result(None)


Pending = PendingInThread | PendingInLoop

_chaining = threading.Lock()


def settle(settled: Iterable[tuple[Pending, Outcome]]) -> list[Pending]:
    """Note each outcome, and return whom to wake. Under a lock: a second outcome for a caller is ignored."""
    first_told: list[Pending] = []
    for pending, outcome in settled:
        if pending.outcome is None:
            pending.outcome = outcome
            first_told.append(pending)
    return first_told


def wake(settled: Iterable[Pending]) -> None:
    """Let the callers go on. Under no lock that they need to come back."""
    threads: list[PendingInThread] = []
    loops: dict[asyncio.AbstractEventLoop, list[PendingInLoop]] = {}
    for pending in settled:
        if isinstance(pending, PendingInThread):
            threads.append(pending)
        else:
            loops.setdefault(pending.loop, []).append(pending)
    for loop, pendings in loops.items():
        with suppress(RuntimeError):  # the loop is closed, and its callers with it
            # One wake-up for all of them: it is a write to a pipe, and the batch may be a thousand.
            loop.call_soon_threadsafe(_wake_all, pendings)
    if (first := PendingInThread.chain(threads)) is not None:
        first.wake()


def no_answer() -> Unavailable:
    """Return the answer of an append about which nothing is known."""
    return Unavailable("the event store did not answer in time: send it again with the same key")


def _wake_all(pendings: list[PendingInLoop]) -> None:
    for pending in pendings:
        pending.wake()
