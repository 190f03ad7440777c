"""A private folder for what a process has in hand, which goes with the process however it ends.

In the distributed profile several processes may share a disk, so none may empty a folder that all use.
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
    """Give a new folder inside `parent`, and remove those of processes that are gone. Raises CannotStart."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob("process-*"):
            _remove_if_left(left)
        # Its name shows it to others only once it is locked: until then they would take it for left.
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
    # The kernel gives a lock back when its process ends, so whoever is locked lives.
    with suppress(FileNotFoundError):  # another process that starts now removes it, too
        if (lock := _lock(folder)) is not None:
            with lock:
                shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> BinaryIO | None:
    """Return the open, locked file of a folder; None when another process holds it."""
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
