"""Artefacts in a bucket of S3, or of a server with its interface."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from adapters.artefacts.store import ObstoreArtefacts, key
from commands.ports import StoredArtefact
from domain.errors import Unavailable

_CONNECT_S, _REQUEST_S, _RETRY_S = 2, 20, 5
"""obstore's default is three minutes; this limit makes a client get an answer, and retry, sooner."""


class S3Artefacts(ObstoreArtefacts):
    """`commands.ports.Artefacts` in `s3://bucket/prefix`. Every method raises Unavailable as well.

    Endpoint, region and keys come from the AWS_* variables, as for every S3 tool. An object is complete or
    absent; an interrupted upload of a large one leaves parts in the bucket that no listing shows.
    """

    def __init__(self, url: str) -> None:
        super().__init__(_store(url))

    async def put(self, content: bytes) -> StoredArtefact:
        """See ObstoreArtefacts."""
        async with _unavailable():
            return await super().put(content)

    async def put_file(self, path: Path, sha256: str) -> StoredArtefact:
        """See ObstoreArtefacts."""
        async with _unavailable():
            return await super().put_file(path, sha256)

    async def get(self, sha256: str) -> bytes:
        """See ObstoreArtefacts."""
        async with _unavailable():
            return await super().get(sha256)

    async def size(self, sha256: str) -> int:
        """See ObstoreArtefacts."""
        async with _unavailable():
            return await super().size(sha256)

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See ObstoreArtefacts."""
        async with _unavailable():
            async for chunk in super().stream(sha256, start, end):
                yield chunk

    async def delete(self, sha256: str) -> None:
        """See ObstoreArtefacts."""
        async with _unavailable():
            await super().delete(sha256)


def try_bucket(url: str) -> None:
    """Store an empty artefact, the best proof of write access. Raises Unavailable with the reason; blocks.

    It does not use S3Artefacts: obstore's threads work for a moment longer than an awaited answer takes,
    and an interpreter that ends during it is aborted (7 of 100 runs on a busy machine, Python 3.11).
    """
    try:
        obstore.put(_store(url), key(hashlib.sha256(b"").hexdigest()), b"")
    except BaseError as error:
        # One line, without the Rust structure that obstore prints after it.
        reason = " ".join(str(error).partition("\n\n")[0].split())
        raise Unavailable(f"the bucket of {url} refuses a write: {reason}") from error


def _store(url: str) -> S3Store:
    return S3Store.from_url(
        url,
        client_options={
            "allow_http": True,  # the endpoint says which: http or https
            "connect_timeout": timedelta(seconds=_CONNECT_S),
            "timeout": timedelta(seconds=_REQUEST_S),
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)},
    )


@asynccontextmanager
async def _unavailable() -> AsyncGenerator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        # ObstoreArtefacts raises NotFound for a missing artefact; here the bucket itself is missing.
        raise Unavailable("the artefact store can't be reached or refuses access: try again") from error
