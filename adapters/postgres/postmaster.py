"""What a running Postgres tells about itself: its postmaster.pid, read by starts that follow a crash and by
commands that look for the server of a running `up`."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A live postmaster of one cluster folder. `ready` says that it accepts connections."""

    pid: int
    socket_folder: Path
    ready: bool


def running_postmaster(cluster: Path) -> Postmaster | None:
    """Return the postmaster that runs on `cluster`, or None: a stale file is no postmaster."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not _runs_on(pid, cluster):
        return None
    socket_folder = Path(lines[4]) if len(lines) > 4 else Path()
    return Postmaster(pid, socket_folder, ready=len(lines) > 7 and lines[7].strip() == "ready")


def remove_stale_locks(cluster: Path, runtime: Path) -> None:
    """Remove the lock files that name a living process which is no postmaster of `cluster`.

    Postgres refuses to start when the process id in them, left by a killed server, has gone to another
    program of its user: in a container it often does. It ignores dead ids itself.
    """
    if running_postmaster(cluster) is not None:
        return
    for lock in (cluster / "postmaster.pid", runtime / ".s.PGSQL.5432.lock"):
        with suppress(OSError, ValueError, IndexError):
            pid = int(lock.read_text().splitlines()[0])
            # Backends that still run are found by the key of the shared memory, with this file or without.
            if Path(f"/proc/{pid}").exists() and not _runs_on(pid, cluster):
                lock.unlink()


def _runs_on(pid: int, cluster: Path) -> bool:
    # The number may have gone to another program since: only the command line tells. A zombie has none.
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(cluster) in words
