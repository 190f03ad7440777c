"""The connection to MongoDB: acknowledged writes are on disk, and outages are noticed in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from pymongo import AsyncMongoClient
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from domain.errors import Unavailable

Fields = dict[str, Any]
R = TypeVar("R")

CONNECT_S = 2.0
"""The longest wait for a primary and for a connection to it."""
DEADLINE_S = 5.0
"""The longest duration of one call, including pymongo's own retries, unless its caller gives another."""
_REFUSED = (13, 18)
"""Error codes Unauthorized and AuthenticationFailed."""


class MongoServer:
    """The database of a URL (`beatledger` if it names none), for the event loop that made it.

    It connects by itself, now or once the server is reachable. pymongo retries a read, and a write that the
    server recognises as a repetition; no other call is safe to send twice.
    """

    def __init__(self, url: str) -> None:
        self._client = AsyncMongoClient[Fields](
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
        self.database = self._client.get_default_database("beatledger")
        self._asked = set[asyncio.Task[Any]]()

    async def ask(self, call: Coroutine[Any, Any, R]) -> R:
        """Return a call's result. Raises Unavailable if the server is unreachable, not primary, or too slow.

        It also raises Unavailable for every other error that does not concern a document. BulkWriteError and
        DuplicateKeyError concern documents and go to the caller.

        A cancelled caller returns at once while the call ends by itself: pymongo leaves a socket open if it
        is cancelled while it connects, and closes the connection if it is cancelled at another time.
        """
        task = asyncio.create_task(call)
        self._asked.add(task)
        task.add_done_callback(self._answered)
        try:
            return await asyncio.shield(task)
        except (BulkWriteError, DuplicateKeyError):
            raise
        except PyMongoError as error:
            if error.timeout or isinstance(error, ConnectionFailure | WriteConcernError):
                raise Unavailable("MongoDB can't be reached or did not answer in time: try again") from error
            if isinstance(error, OperationFailure) and error.code in _REFUSED:
                raise Unavailable("MongoDB refuses the user or password of BEATLEDGER_MONGO_URL") from error
            raise Unavailable(f"MongoDB refused the call: {error}") from error

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            # Retrieves the error of a call without a caller; asyncio would log it as never retrieved.
            task.exception()

    async def close(self) -> None:
        """Wait for the calls without a caller, at most until their deadline, and disconnect."""
        if self._asked:
            await asyncio.wait(self._asked)
        await self._client.close()


class _PlainInt(TypeDecoder):
    """Reads numbers beyond 32 bits as int, because JSON encoders don't know pymongo's Int64."""

    @property
    def bson_type(self) -> type[Int64]:
        return Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)
