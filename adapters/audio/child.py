"""The child's side of `children`: take a job from the socket, run it, answer.

Run as `python -m adapters.audio.child FD PARENT-PID MODULE…`. A message is a length (4 bytes, big-endian)
and a pickle. The modules are imported before the first job comes, anything else when a job needs it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Request = tuple[str, tuple[Any, ...], int, bool]
"""`module:function`, its arguments, the bytes it may take, whether it wants to report progress."""

Answer = tuple[Literal["progress", "result", "error"], Any]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve jobs until the parent closes the socket or dies."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    _die_with(int(sys.argv[2]))
    # Ctrl-C reaches a whole group of processes: the parent decides when a job ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # libmpg123 writes a line for each damaged frame of an upload.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    for module in sys.argv[3:]:
        importlib.import_module(module)
    while (request := _receive(connection)) is not None:
        _send(connection, _answer(request, lambda *progress: _report(connection, progress)))


def _die_with(parent: int) -> None:
    """Let the kernel kill us when the parent's thread that started us is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent was gone before the start")


def _answer(request: bytes, report: Callable[..., None]) -> bytes:
    """Run a job and pickle what came of it, an exception included."""
    try:
        name, arguments, memory_bytes, reports = _parsed(request)
        function = _imported(name)
        _limit_memory(memory_bytes)
        result = function(*arguments, report) if reports else function(*arguments)
        return pickle.dumps(("result", result), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - whatever the job raises is the parent's to judge
        return _pickled(error)


def _parsed(request: bytes) -> Request:
    return pickle.loads(request)  # noqa: S301 - from our parent


def _imported(name: str) -> Callable[..., object]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _pickled(error: Exception) -> bytes:
    """Pickle an exception, or its text when its class cannot be read back."""
    try:
        answer = pickle.dumps(("error", error))
        pickle.loads(answer)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - the job's error counts, not that it has no pickle
        return pickle.dumps(("error", RuntimeError("".join(traceback.format_exception(error)))))
    return answer


def _limit_memory(allowed: int) -> None:
    """Let the job take `allowed` bytes above what imports took; beyond, malloc fails and numpy raises."""
    if sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text()
    used = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (used + allowed, hard))


def _report(connection: socket.socket, progress: tuple[object, ...]) -> None:
    _send(connection, pickle.dumps(("progress", progress)))


def _receive(connection: socket.socket) -> bytes | None:
    header = _receive_exactly(connection, 4)
    return None if header is None else _receive_exactly(connection, int.from_bytes(header, "big"))


def _receive_exactly(connection: socket.socket, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            return None
        received += part
    return bytes(received)


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(len(message).to_bytes(4, "big") + message)


if __name__ == "__main__":
    main()
