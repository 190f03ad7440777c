"""The one way we reach MongoDB: what is acknowledged is on disk, and when it is away we know in seconds."""

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
"""The longest wait for a primary, and for a connection to it."""
DEADLINE_S = 5.0
"""The longest that one call takes, pymongo's own retries included, unless its user names another."""
_REFUSED = (13, 18)
"""Error codes Unauthorized and AuthenticationFailed."""


class MongoServer:
    """The database that a URL names, `beatledger` if it names none; of the event loop in which it is made.

    It connects by itself, now or once the server is there. pymongo retries a read, and a write that the
    server recognises as the same one; nothing else is safe to send twice.
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
        """Return a call's answer. Raises Unavailable when the server is away, or no primary, or too slow.

        And for every other error that says nothing about a document: those are BulkWriteError and
        DuplicateKeyError, which its caller knows what to do with.

        Whoever asks may be cancelled, the call ends by itself: pymongo cancelled while it connects leaves an
        open socket behind, and at any other time it hangs up.
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
            raise Unavailable(f"MongoDB did not do as it was asked: {error}") from error

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            # Seen, also when nobody waits for it any more: else asyncio reports it as lost.
            task.exception()

    async def close(self) -> None:
        """Wait for the calls whose askers are gone, at most to their deadline, and hang up."""
        if self._asked:
            await asyncio.wait(self._asked)
        await self._client.close()


class _PlainInt(TypeDecoder):
    """Reads numbers beyond 32 bits as the int that was written: JSON encoders don't know pymongo's Int64."""

    @property
    def bson_type(self) -> type[Int64]:
        return Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)
