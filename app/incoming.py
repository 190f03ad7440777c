"""A private folder for a process's uploads in progress, which is removed however the process ends.

In the distributed profile several processes may share a disk, so none may empty a shared folder.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adapters.postgres.cannot_start import CannotStart


@contextmanager
def private_folder(parent: Path) -> Generator[Path]:
    """Yield a new folder inside `parent`, and remove those of dead processes. Raises CannotStart."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob("process-*"):
            _remove_if_left(left)
        # Renamed to its final name once it is locked: until then other processes would take it for abandoned.
        new = Path(tempfile.mkdtemp(prefix="new-", dir=parent))
        lock = _lock(new)
        own = new.rename(parent / f"process-{new.name.removeprefix('new-')}")
        files = own / "files"
        files.mkdir()
    except OSError as error:
        raise CannotStart(f"the folder {parent} can't be used: {error.strerror}") from error
    assert lock is not None
    with lock:
        try:
            yield files
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    # The kernel releases a lock when its process ends, so the owner of a lock is alive.
    with suppress(FileNotFoundError):  # another starting process removes it too
        if (lock := _lock(folder)) is not None:
            with lock:
                shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> BinaryIO | None:
    """Return the open, locked file of a folder; None if another process holds it."""
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
