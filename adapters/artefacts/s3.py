"""Artefacts in a bucket of S3, or of a server that speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store

from adapters.artefacts.store import ObstoreArtefacts
from commands.ports import StoredArtefact
from domain.errors import Unavailable

_CONNECT_S, _REQUEST_S, _RETRY_S = 2, 20, 5
"""obstore's own patience is three minutes: a client of ours is told sooner, and asks again."""


class S3Artefacts(ObstoreArtefacts):
    """`commands.ports.Artefacts` in `s3://bucket/prefix`. Every method raises Unavailable as well.

    Endpoint, region and keys come from the AWS_* variables, as every tool for S3 takes them. A put is one
    request: the object is there whole, or not at all.
    """

    def __init__(self, url: str) -> None:
        store = S3Store.from_url(
            url,
            client_options={
                "allow_http": True,  # the endpoint says which: http or https
                "connect_timeout": timedelta(seconds=_CONNECT_S),
                "timeout": timedelta(seconds=_REQUEST_S),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)},
        )
        super().__init__(store)

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


@asynccontextmanager
async def _unavailable() -> AsyncGenerator[None]:
    try:
        yield
    except BaseError as error:
        raise Unavailable("the artefact store can't be reached or refuses us: try again") from error
