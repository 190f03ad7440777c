"""What can be done to an installation, at random but repeatable: kills, restarts, freezes, departures."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Protocol

from tests.servers.installation import OwnInstallation

Fault = Callable[[OwnInstallation, Random], None]
"""Does it, and undoes it; the processes it started again need not be ready yet."""


class Server(Protocol):
    def start(self) -> None: ...
    def kill(self) -> None: ...


class Pausable(Protocol):
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@contextmanager
def killed(server: Server) -> Generator[None]:
    """SIGKILL, and start it again after the block, whatever comes of the block."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def paused(server: Pausable) -> Generator[None]:
    """SIGSTOP for the block: connections stay open, nothing answers."""
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def frozen(own: OwnInstallation, name: str) -> Generator[None]:
    """SIGSTOP a process of ours for the block."""
    own.signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            own.signal(name, signal.SIGCONT)


def _kill(name: str) -> Fault:
    def fault(own: OwnInstallation, chance: Random) -> None:
        own.kill(name)
        own.begin(name)

    return fault


def _freeze(name: str) -> Fault:
    def fault(own: OwnInstallation, chance: Random) -> None:
        with frozen(own, name):
            time.sleep(chance.uniform(0.2, 5.0))

    return fault


def _restart(server: str) -> Fault:
    def fault(own: OwnInstallation, chance: Random) -> None:
        with killed(getattr(own.servers, server)):
            time.sleep(chance.uniform(0.0, 1.0))

    return fault


def _pause(server: str) -> Fault:
    def fault(own: OwnInstallation, chance: Random) -> None:
        with paused(getattr(own.servers, server)):
            time.sleep(chance.uniform(0.2, 6.0))

    return fault


def _second(role: str) -> Fault:
    def fault(own: OwnInstallation, chance: Random) -> None:
        """A second process of the role comes, or the one that had come is killed."""
        if (name := f"{role}-2") in own.processes:
            own.kill(name)
        else:
            own.begin(name)

    return fault


KILLS: Mapping[str, Fault] = {
    **{f"kill {role}": _kill(role) for role in ("relay", "projector", "analysis", "api")},
    **{f"restart {server}": _restart(server) for server in ("kafka", "mongo")},
}
"""What every round of `make test` does once."""

FAULTS: Mapping[str, Fault] = {
    **KILLS,
    "kill rollout": _kill("rollout"),
    **{f"freeze {role}": _freeze(role) for role in ("relay", "projector", "analysis", "api")},
    **{f"restart {server}": _restart(server) for server in ("postgres", "s3")},
    **{f"pause {server}": _pause(server) for server in ("kafka", "mongo", "postgres")},
    **{f"second {role} comes or goes": _second(role) for role in ("relay", "projector", "analysis")},
}
"""What the soak draws from."""
