"""Artefacts in a local folder; a file is on disk before its event is in the log.

obstore only reads here. It does not write, because its LocalStore never calls fsync: after a power cut an
event could name an empty file. Writes go to `staging/`, are synced there, and are renamed to their final
path.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

from obstore.store import LocalStore

from adapters.artefacts.store import ObstoreArtefacts, key, verified_size
from commands.ports import StoredArtefact

_STAGED_FOR_S = 24 * 3600


class FolderArtefacts(ObstoreArtefacts):
    """`commands.ports.Artefacts` in a folder of the local file system; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staging = folder / "staging"
        self._staging.mkdir(parents=True, exist_ok=True)
        super().__init__(LocalStore(folder))
        self._sweep()

    async def put(self, content: bytes) -> StoredArtefact:
        """Store these bytes; when this returns, the content and its name are on disk."""
        return await asyncio.to_thread(self._put, content)

    async def put_file(self, path: Path, sha256: str) -> StoredArtefact:
        """Move a file in, by a rename on one file system. Raises HashMismatch, and leaves the file."""
        return await asyncio.to_thread(self._put_file, path, sha256)

    async def delete(self, sha256: str) -> None:
        """Remove the content if it exists; it stays removed after a power cut."""
        await asyncio.to_thread(self._delete, self._folder / key(sha256))

    def _put(self, content: bytes) -> StoredArtefact:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self._is_there(sha256, len(content)):
            staged = self._staging / uuid4().hex
            try:
                staged.write_bytes(content)
                self._land(staged, sha256)
            finally:
                staged.unlink(missing_ok=True)
        return StoredArtefact(sha256, len(content))

    def _put_file(self, path: Path, sha256: str) -> StoredArtefact:
        size = verified_size(path, sha256)
        if self._is_there(sha256, size):
            path.unlink()
        else:
            self._move(path, sha256)
        return StoredArtefact(sha256, size)

    def _move(self, path: Path, sha256: str) -> None:
        try:
            self._land(path, sha256)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            staged = self._staging / uuid4().hex
            try:
                shutil.copyfile(path, staged)
                self._land(staged, sha256)
            finally:
                staged.unlink(missing_ok=True)
            path.unlink()

    def _land(self, file: Path, sha256: str) -> None:
        """Rename a file to its final path, after its content is synced: no name has partial content."""
        target = self._folder / key(sha256)
        _sync(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        self._sync_names(target)

    def _is_there(self, sha256: str, size: int) -> bool:
        """Return True if the content and its name are durably stored; this syncs the name if need be."""
        target = self._folder / key(sha256)
        if not target.is_file() or target.stat().st_size != size:
            return False
        self._sync_names(target)
        return True

    def _sync_names(self, target: Path) -> None:
        for folder in (target.parent, target.parent.parent, self._folder):
            _sync(folder)

    def _delete(self, target: Path) -> None:
        if target.is_file():
            target.unlink(missing_ok=True)
            _sync(target.parent)

    def _sweep(self) -> None:
        """Remove files of killed writers from staging after a day: other writers may be active."""
        for staged in self._staging.iterdir():
            if time.time() - staged.stat().st_mtime > _STAGED_FOR_S:
                staged.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
