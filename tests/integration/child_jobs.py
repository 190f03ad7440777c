"""What children run in the tests: jobs that behave, and jobs that do not."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def double(number: int) -> int:
    return 2 * number


def whoami() -> int:
    return os.getpid()


def sleep_noting_pid(path: Path, seconds: float) -> int:
    """Write our process id to the path, then hang."""
    partial = path.with_suffix(".part")
    partial.write_text(str(os.getpid()))
    partial.rename(path)
    time.sleep(seconds)
    return os.getpid()


def segfault() -> int:
    ctypes.string_at(0)
    return 0


def leave(code: int) -> int:
    os._exit(code)


def kill_self() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def interrupt_self() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def fail(text: str) -> int:
    raise ValueError(text)


class Unpicklable(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def fail_without_a_pickle() -> int:
    raise Unpicklable("one argument", "is lost")


def time_out_inside() -> int:
    raise TimeoutError("of the job, not of the pool")


def allocate(count: int) -> int:
    """Take and touch this many bytes of memory."""
    return int(np.ones(count, np.uint8)[-1])


def count_to(steps: int, report: Callable[[str, float], None]) -> int:
    for step in range(steps):
        report("counting", 100 * (step + 1) / steps)
    return steps


def large(count: int) -> bytes:
    return bytes(count)


def surroundings() -> dict[str, str]:
    """Our environment, and what our file descriptors above stderr are."""
    found = dict(os.environ)
    for entry in Path("/proc/self/fd").iterdir():
        if int(entry.name) > 2 and entry.exists():
            found[f"fd {entry.name}"] = str(entry.readlink())
    return found
