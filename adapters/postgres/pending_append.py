"""An append in progress; its caller waits, in a thread or an event loop, for the one answer."""

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
        """True while a caller waits for the outcome; other appends need not be sent."""
        return self.outcome is None and not self.abandoned

    def answer(self) -> Appended:
        """Return the outcome or raise it; Unavailable if there is none."""
        if self.outcome is None:
            raise no_answer()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class PendingInThread(_Pending):
    """An append whose caller is a thread.

    The threads of a batch wake one another in a chain. If all woke at once they would compete for the
    interpreter's lock: ten context switches an append instead of two (docs/adr/0003-group-commit.md).
    """

    __slots__ = ("_answered", "_next")

    def __init__(self, append: PackedAppend) -> None:
        super().__init__(append)
        self._next: PendingInThread | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self, deadline_s: float) -> Appended:
        """Return the answer or raise it; Unavailable if there is none by the deadline."""
        woken = False
        try:
            woken = self._answered.acquire(timeout=deadline_s)
        finally:
            if not woken:
                with _chaining:  # from here on no chain includes this append, or its successor is known
                    self.abandoned = True
            if self._next is not None:
                self._next.wake()
        return self.answer()

    def wake(self) -> None:
        """Wake the caller, who wakes the next one."""
        self._answered.release()

    @staticmethod
    def chain(settled: Sequence[PendingInThread]) -> PendingInThread | None:
        """Make each wake its successor; return the first."""
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
        """Return the answer or raise it; Unavailable if there is none by the deadline."""
        alarm = self.loop.call_later(deadline_s, self.wake)
        try:
            await self._awake
        finally:
            self.abandoned = True
            alarm.cancel()
        return self.answer()

    def wake(self) -> None:
        """Wake the caller, unless it is awake already; runs in its event loop."""
        if not self._awake.done():
            self._awake.set_result(None)


Pending = PendingInThread | PendingInLoop

_chaining = threading.Lock()


def settle(settled: Iterable[tuple[Pending, Outcome]]) -> list[Pending]:
    """Store each outcome, and return the appends to wake. Under a lock, so that the first outcome counts."""
    first_told: list[Pending] = []
    for pending, outcome in settled:
        if pending.outcome is None:
            pending.outcome = outcome
            first_told.append(pending)
    return first_told


def wake(settled: Iterable[Pending]) -> None:
    """Wake the callers. Do not hold a lock that they need to continue."""
    threads: list[PendingInThread] = []
    loops: dict[asyncio.AbstractEventLoop, list[PendingInLoop]] = {}
    for pending in settled:
        if isinstance(pending, PendingInThread):
            threads.append(pending)
        else:
            loops.setdefault(pending.loop, []).append(pending)
    for loop, pendings in loops.items():
        with suppress(RuntimeError):  # the loop is closed, and its callers with it
            # One wake-up for all of them, because it writes to a pipe and a batch may have a thousand
            # appends.
            loop.call_soon_threadsafe(_wake_all, pendings)
    if (first := PendingInThread.chain(threads)) is not None:
        first.wake()


def no_answer() -> Unavailable:
    """Return the answer of an append whose outcome is unknown."""
    return Unavailable("the event store did not answer in time: send it again with the same key")


def _wake_all(pendings: list[PendingInLoop]) -> None:
    for pending in pendings:
        pending.wake()
