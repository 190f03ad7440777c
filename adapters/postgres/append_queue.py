"""Group commit: many writers, one queue, and one thread that sends the queued appends as one transaction.

The library holds a table lock over a round trip and an fsync for each append, so its writers queue for the
disk. Here one fsync serves all appends that arrived during the last one; docs/adr/0003-group-commit.md has
the numbers.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from uuid import UUID

import psycopg
import structlog

from adapters.postgres.append_call import AppendCall, in_doubt
from adapters.postgres.pending_append import Outcome, Pending, no_answer, settle, wake
from adapters.postgres.verdicts import culprit, outcomes
from domain.errors import Busy, Unavailable

log = structlog.get_logger(__name__)

CAPACITY = 10_000
CAPACITY_BYTES = 64_000_000
MAX_BATCH = 1_000
MAX_BATCH_BYTES = 4_000_000
STUCK_S = 10.0
"""After this time without an answer the connection is closed and the batch sent on another."""
_PAUSES_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)


class AppendQueue:
    """Takes appends from any thread or event loop; its flusher starts with the first one.

    `on_flushed` is called from the flusher after each batch. The owner calls `close` when it shuts down.
    """

    def __init__(self, conninfo: str, on_flushed: Callable[[], None] = lambda: None) -> None:
        self._call = AppendCall(conninfo)
        self._on_flushed = on_flushed
        self._tickets = itertools.count(1)
        self._waiting: deque[Pending] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._closing = False
        self._given_up = threading.Event()
        self._thread: threading.Thread | None = None
        # The flusher's batch, kept here so that its successor can continue after it died.
        self._in_flight: list[Pending] = []
        self._resent = False
        self._part = MAX_BATCH
        self._sent_at = 0.0

    def next_ticket(self) -> int:
        """Return the number of a new append, different from all others of this process."""
        return next(self._tickets)

    def put(self, pending: Pending) -> None:
        """Queue an append; it is settled with its outcome later. Raises Busy or, when closed, Unavailable."""
        with self._lock:
            if self._closing:
                raise Unavailable("the event store is shutting down: nothing was written")
            if len(self._waiting) >= CAPACITY or self._waiting_bytes >= CAPACITY_BYTES:
                raise Busy("too many appends are waiting: nothing was written, try again in a second")
            self._waiting.append(pending)
            self._waiting_bytes += pending.append.size
            self._ensure_flusher()
            self._wake.notify()

    def unstick(self) -> None:
        """Replace a dead flusher or a silent connection; callers whose deadline ran out call this."""
        with self._lock:
            if not self._closing:
                self._ensure_flusher()
            stuck = bool(self._in_flight) and monotonic() - self._sent_at > STUCK_S
        if stuck:
            self._call.hang_up()

    def close(self, patience_s: float = 5.0) -> None:
        """Write the queued appends within `patience_s`, and answer every caller. Safe to call twice."""
        with self._lock:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(patience_s)
        self._given_up.set()
        self._call.hang_up()
        with self._lock:
            left = [*self._in_flight, *self._waiting]
            told = settle((pending, no_answer()) for pending in left)
            self._waiting.clear()
        wake(told)

    def _ensure_flusher(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        # A predecessor may have written the batch that it had in flight.
        self._resent = self._thread is not None
        self._thread = threading.Thread(target=self._supervise, name="flusher", daemon=True)
        self._thread.start()

    def _supervise(self) -> None:
        while not self._given_up.is_set():
            try:
                self._run()
                break
            except BaseException:
                # Every error is caught, because the callers of this batch and later ones must not wait for
                # a dead thread.
                log.exception("flusher.died")
                self._resent = True
                self._given_up.wait(0.05)
        self._call.close()

    def _run(self) -> None:
        while self._in_flight or self._take_batch():
            self._flush()

    def _take_batch(self) -> bool:
        """Wait for the next batch and move it from the queue to `_in_flight`. False: closed and empty."""
        with self._lock:
            while not self._in_flight:
                while not self._waiting:
                    if self._closing:
                        return False
                    self._wake.wait()
                self._in_flight = self._choose()
                self._resent = False
                self._part = MAX_BATCH
        return True

    def _choose(self) -> list[Pending]:
        """Take appends that don't depend on one another; the others keep their order in the queue."""
        chosen: list[Pending] = []
        passed: list[Pending] = []
        written: set[UUID] = set()
        named: set[UUID] = set()
        size = 0
        while self._waiting and len(chosen) < MAX_BATCH and len(passed) < MAX_BATCH:
            pending = self._waiting[0]
            append = pending.append
            if chosen and size + append.size > MAX_BATCH_BYTES:
                break
            self._waiting.popleft()
            if not pending.wanted:
                self._waiting_bytes -= append.size
                continue
            if (
                written.isdisjoint(append.writes)
                and named.isdisjoint(append.writes)
                and written.isdisjoint(append.names)
            ):
                chosen.append(pending)
                size += append.size
            else:
                passed.append(pending)
            # Includes the streams of the appends passed over: a later append to the same stream must not
            # overtake them.
            written |= append.writes
            named |= append.names
        self._waiting.extendleft(reversed(passed))
        self._waiting_bytes -= size
        return chosen

    def _flush(self) -> None:
        """Send the batch in flight, repeatedly while the database is unreachable, and answer its callers."""
        failures = 0
        while part := self._next_part():
            batch = [pending.append for pending in part]
            self._sent_at = monotonic()
            try:
                flushed = self._call.send(batch, self._resent)
            except psycopg.Error as error:
                if in_doubt(error):
                    failures += 1
                    self._wait_for_database(failures, error)
                elif len(part) > 1:
                    # One append of the batch can't be stored: sent one by one, only that one fails.
                    self._part = 1
                else:
                    self._settle(part, [culprit(error)])
            else:
                failures = 0
                self._settle(part, list(outcomes(batch, flushed)))
                self._on_flushed()

    def _next_part(self) -> list[Pending]:
        with self._lock:
            self._in_flight = [pending for pending in self._in_flight if pending.wanted]
            return self._in_flight[: self._part]

    def _wait_for_database(self, failures: int, error: psycopg.Error) -> None:
        if failures == 1:
            log.warning("flusher.database_away", error=str(error).strip(), appends=len(self._in_flight))
        self._resent = True
        self._given_up.wait(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])

    def _settle(self, part: list[Pending], results: list[Outcome]) -> None:
        with self._lock:
            told = settle(zip(part, results, strict=True))
            del self._in_flight[: len(part)]
        wake(told)
