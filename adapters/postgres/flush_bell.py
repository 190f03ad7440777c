"""Notifies the readers in this process of a write, so that they read before their next poll."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress


class FlushBell:
    """Rung by the flusher's thread, for any event loop. A missing ring proves nothing: keep polling."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def ring(self) -> None:
        """Wake every listener; from any thread."""
        with self._lock:
            ears = list(self._ears.items())
        for ear, loop in ears:
            with suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(ear.set)

    @contextmanager
    def listen(self) -> Generator[asyncio.Event]:
        """Yield an event that is set at each ring; the listener clears it before it reads the log."""
        ear = asyncio.Event()
        with self._lock:
            self._ears[ear] = asyncio.get_running_loop()
        try:
            yield ear
        finally:
            with self._lock:
                del self._ears[ear]
