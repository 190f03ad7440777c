"""The ports of the write side; adapters implement them structurally, `app` connects them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID


class Snapshots(Protocol):
    """The latest state of each stream by fold, so that a long stream loads as fast as a short one."""

    async def read_snapshots(
        self, fold: str, fold_version: int, streams: Collection[UUID]
    ) -> dict[UUID, tuple[int, bytes]]:
        """Return (revision, content) of the latest snapshots made by this version of the fold, by stream."""
        ...

    async def write_snapshot(
        self, fold: str, fold_version: int, stream: UUID, revision: int, content: bytes
    ) -> None:
        """Keep this snapshot unless a later one is there."""
        ...


@dataclass(frozen=True, slots=True)
class StoredArtefact:
    """An immutable file, named by its content."""

    sha256: str
    bytes: int


class Artefacts(Protocol):
    """Content-addressed files: written before the event that names them, never changed."""

    async def put(self, content: bytes) -> StoredArtefact:
        """Store these bytes durably; storing the same again is free."""
        ...

    async def put_file(self, path: Path, sha256: str) -> StoredArtefact:
        """Move a local file of this hash in; the path is gone afterwards."""
        ...

    async def get(self, sha256: str) -> bytes:
        """Return the whole content. Raises NotFound."""
        ...

    async def size(self, sha256: str) -> int:
        """Return the size in bytes. Raises NotFound."""
        ...

    def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes start..end (end exclusive) in chunks. Raises NotFound."""
        ...

    async def fetch_to(self, sha256: str, path: Path) -> None:
        """Copy the content to a local path, for readers that need a file. Raises NotFound."""
        ...

    async def delete(self, sha256: str) -> None:
        """Remove the content if it exists."""
        ...


HEAD_BYTES = 8192
"""The first bytes of an upload that show its type: an MP3 cut in mid-frame, and three long frames."""
