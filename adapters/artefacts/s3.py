"""Artefacts in a bucket of S3, or of a server that speaks it."""

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
"""obstore's own patience is three minutes: a client of ours is told sooner, and asks again."""


class S3Artefacts(ObstoreArtefacts):
    """`commands.ports.Artefacts` in `s3://bucket/prefix`. Every method raises Unavailable as well.

    Endpoint, region and keys come from the AWS_* variables, as every tool for S3 takes them. An object is
    there whole, or not at all; of a large one that was cut off, parts that nobody sees stay in the bucket.
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
    """Store an empty artefact: nothing tells better that we may. Raises Unavailable, which says why; blocks.

    Not by S3Artefacts: obstore's threads are at work for a moment longer than an awaited answer takes, and an
    interpreter that ends within it is aborted (7 of 100 runs on a busy machine, Python 3.11).
    """
    try:
        obstore.put(_store(url), key(hashlib.sha256(b"").hexdigest()), b"")
    except BaseError as error:
        # In one line, without what stands behind it: the same as a structure of Rust's.
        reason = " ".join(str(error).partition("\n\n")[0].split())
        raise Unavailable(f"the bucket of {url} takes nothing: {reason}") from error


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
        # Of an artefact that is not there ObstoreArtefacts says NotFound: what is missing here is the bucket.
        raise Unavailable("the artefact store can't be reached or refuses access: try again") from error
