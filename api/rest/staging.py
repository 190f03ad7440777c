"""A file on its way in: written to the incoming folder and hashed while it streams, gone unless accepted."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

import structlog
from starlette.requests import Request

from api.refusals import BodyTooLarge, StorageFull
from api.rest.multipart import MultipartForm
from api.services import Limits
from commands.ports import HEAD_BYTES
from commands.upload import Staged
from domain.errors import Busy, Unavailable

log = structlog.get_logger(__name__)

WRITE_BYTES = 512 * 1024
"""A hop to a thread costs about 50 µs, so pieces are gathered before one."""

FORM_BYTES = 1_000_000
"""What a body may have besides its file: boundaries, headers, fields."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_under_way: set[Path] = set()
"""Of this process: each has a connection and a file open."""


class _Sink:
    """The file being written, on threads."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.head = b""
        self._file = file
        self._limit = limit
        self._gathered: list[bytes] = []
        self._waiting = 0

    async def add(self, pieces: Iterable[bytes]) -> None:
        """Take pieces in. Raises BodyTooLarge as soon as there are too many bytes, OSError."""
        for piece in pieces:
            self._gathered.append(piece)
            self._waiting += len(piece)
        if self.bytes + self._waiting > self._limit:
            raise too_large(self._limit)
        if self._waiting >= WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered."""
        content, self._gathered, self._waiting = b"".join(self._gathered), [], 0
        if len(self.head) < HEAD_BYTES:
            self.head += content[: HEAD_BYTES - len(self.head)]
        await asyncio.to_thread(self._write, content)

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()
        self.sha256.update(content)
        self.bytes += len(content)


def too_large(limit: int) -> BodyTooLarge:
    """Return the refusal of a file over the limit."""
    return BodyTooLarge(f"a file may have at most {limit / 1_000_000:g} MB ({limit} bytes)")


@asynccontextmanager
async def staged_upload(
    request: Request, incoming: Path, limits: Limits
) -> AsyncGenerator[tuple[Staged, list[tuple[str, str]]]]:
    """Receive a multipart request: its file, and its fields in order; the file is gone when the block ends.

    Raises what MultipartForm raises, BodyTooLarge, Busy, StorageFull, Unavailable, or ClientDisconnect.
    """
    limit = limits.upload_bytes
    form = MultipartForm(request.headers.get("content-type"))
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit + FORM_BYTES:
        raise too_large(limit)
    if len(_under_way) >= limits.uploads:
        raise Busy("too many uploads are being received: send this one again")
    path = incoming / f"{uuid4().hex}.part"
    _under_way.add(path)
    try:
        yield await _received(request, form, path, limit), form.fields
    finally:
        _under_way.discard(path)
        _remove(path)


async def _received(request: Request, form: MultipartForm, path: Path, limit: int) -> Staged:
    received = 0
    try:
        with _new_file(path) as file:
            sink = _Sink(file, limit)
            async for chunk in request.stream():
                received += len(chunk)
                # Also for what a body may have after its last boundary, where no parser looks.
                if received > limit + FORM_BYTES:
                    raise too_large(limit)
                await sink.add(form.feed(chunk))
            await sink.flush()
    except OSError as error:
        if error.errno in _NO_ROOM:
            log.warning("upload.storage_full", folder=str(path.parent), error=error.strerror)
            raise StorageFull from error
        log.warning("upload.not_kept", folder=str(path.parent), error=str(error))
        raise Unavailable("the upload can't be kept just now: try again") from error
    return Staged(path, form.finish(), sink.sha256.hexdigest(), sink.bytes, sink.head)


def _new_file(path: Path) -> IO[bytes]:
    return path.open("xb")


def _remove(path: Path) -> None:
    # Never awaited: a cancelled request must still leave nothing.
    path.unlink(missing_ok=True)
