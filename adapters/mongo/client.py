"""The one way we reach MongoDB: what is acknowledged is on disk, and when it is away we know in seconds."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from pymongo import AsyncMongoClient
from pymongo.errors import ConnectionFailure, PyMongoError, WriteConcernError

from domain.errors import Unavailable

CONNECT_S = 2.0
"""The longest wait for a primary, and for a connection to it."""
DEADLINE_S = 5.0
"""The longest that one call takes, pymongo's own retries included."""


def make_client(url: str) -> AsyncMongoClient[dict[str, Any]]:
    """Return a client of the event loop that first uses it; `await client.close()` in the same loop.

    It connects by itself, now or once the server is there. pymongo retries a read, and a write that the
    server recognises as the same one; nothing else is safe to send twice.
    """
    return AsyncMongoClient(
        url,
        w="majority",
        journal=True,
        readPreference="primary",
        retryReads=True,
        retryWrites=True,
        serverSelectionTimeoutMS=int(CONNECT_S * 1000),
        connectTimeoutMS=int(CONNECT_S * 1000),
        timeoutMS=int(DEADLINE_S * 1000),
        tz_aware=True,
        type_registry=TypeRegistry([_PlainInt()]),
        appname="beatledger",
    )


@contextmanager
def unavailable() -> Generator[None]:
    """Turn what pymongo raises when the server is away, or no primary, or too slow, into Unavailable."""
    try:
        yield
    except PyMongoError as error:
        if error.timeout or isinstance(error, ConnectionFailure | WriteConcernError):
            raise Unavailable("MongoDB can't be reached or did not answer in time: try again") from error
        raise


class _PlainInt(TypeDecoder):
    """Reads numbers beyond 32 bits as the int that was written: JSON encoders don't know pymongo's Int64."""

    @property
    def bson_type(self) -> type[Int64]:
        return Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)
