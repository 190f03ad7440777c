"""A process of the product that says where it answers, for tests that use or kill it."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

START_S = 60.0


def until(ask: Callable[[], T | None], seconds: float = 20.0, what: str = "it") -> T:
    """Return the first true answer; fail the test at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.02)
    return answer


class Process:
    """A started child in a session of its own, and all it has said."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        self.output: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._child = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=dict(environment),
            cwd=cwd,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def lives(self) -> bool:
        return self._child.poll() is None

    @property
    def ended(self) -> int | None:
        """The exit code, None while it lives."""
        return self._child.poll()

    def found_after(self, words: str) -> str | None:
        """Return the URL that follows these words, None while it has not said it."""
        return next((line.split(words)[1].split()[0] for line in self.output if words in line), None)

    def url_after(self, words: str) -> str:
        """Return the URL that follows these words in what it says. Fails when it ends before."""
        deadline = time.monotonic() + START_S
        while True:
            line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line, f"it ended before it was ready: {''.join(self.output)}"
            if words in line:
                return line.split(words)[1].split()[0]

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """Send the signal and return the exit code."""
        self._child.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code, once all that held its output is gone."""
        code = self._child.wait(60)
        self._reader.join(60)
        assert not self._reader.is_alive(), "a child outlived it"
        return code

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as stdout:
            for line in stdout:
                self.output.append(line)
                self._lines.put(line)
        self._lines.put("")
