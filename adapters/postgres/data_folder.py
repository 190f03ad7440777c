"""The folder of everything the embedded profile keeps, and the lock that gives it one owner at a time.

postgres/   the database cluster     artefacts/  finished files, by hash
secrets/    passwords and keys       incoming/   uploads on their way in
lock        flock of the process that serves from here    postgres.log
"""

from __future__ import annotations

import fcntl
import os
import secrets as random
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from adapters.postgres.cannot_start import CannotStart


class DataFolderInUse(CannotStart):
    """Another process serves from this data folder."""


class DataFolder:
    """A data folder on the local disk; nothing is made before `hold()` or `secret()`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self.postgres = self.path / "postgres"
        self.postgres_log = self.path / "postgres.log"
        self.artefacts = self.path / "artefacts"
        self.incoming = self.path / "incoming"
        self.secrets = self.path / "secrets"
        self.held = False

    @contextmanager
    def hold(self) -> Generator[None]:
        """Own the folder until the block ends or the process dies, however it dies.

        Raises DataFolderInUse, or CannotStart when the folder can't be written.
        """
        self._make_layout()
        # Python opens it close-on-exec, so no child (Postgres, a worker) keeps the folder locked after us.
        with self._open_lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise DataFolderInUse(
                    f"the data folder {self.path} is in use by process {holder}: "
                    "stop it, or choose another --data-dir"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            self.held = True
            try:
                yield
            finally:
                self.held = False

    def secret(self, name: str) -> str:
        """Return the secret of that name (43 characters, 256 bits), made at the first call.

        Only our user can read it. Raises CannotStart.
        """
        path = self.secrets / name
        try:
            if not path.exists():
                self._make_layout()
                self._write_once(path, random.token_urlsafe(32))
            return path.read_text().strip()
        except OSError as error:
            raise self._unusable(error) from error

    def _make_layout(self) -> None:
        try:
            # Others may pass through, not look: Postgres runs as another user when we are root.
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            for folder in (self.artefacts, self.incoming, self.secrets):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _open_lock(self) -> TextIO:
        try:
            return (self.path / "lock").open("a+")
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> CannotStart:
        return CannotStart(f"the data folder {self.path} can't be used: {error.strerror}: {error.filename}")

    @staticmethod
    def _write_once(path: Path, text: str) -> None:
        # Two commands may get here at once: the link is atomic, and the loser reads the winner's secret.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-") as new:
            new.write(text + "\n")
            new.flush()
            os.fsync(new.fileno())
            try:
                path.hardlink_to(new.name)
            except FileExistsError:
                return
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: in a power cut a synced file may still lose its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
