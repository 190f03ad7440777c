"""The document store on MongoDB: a collection for each generation, `_id` the id, `body` the document.

A batch is written as entries, documents, watermarks, each acknowledged before the next begins. An interrupted
batch comes again, and the parts already written change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from adapters.mongo.bodies import encoded, packed, unpacked
from adapters.mongo.document_indexes import EXPIRES, PARKED, expiry_index
from adapters.mongo.document_queries import count_filter, find_filter, unexpired
from adapters.mongo.generations import MongoGenerations
from adapters.mongo.server import Fields
from domain.errors import Unavailable
from projections.documents import (
    Change,
    Condition,
    Found,
    Generation,
    Parked,
    Place,
    Sort,
    Stored,
    Unwritable,
)
from projections.view import Document

_DUPLICATE = 11000
_UNWRITABLE = frozenset({2, 15, 22, 121, 171, 10334})
"""BadValue, Overflow, InvalidBSON, DocumentValidationFailure, CannotIndexParallelArrays, BSONObjectTooLarge:
errors that concern a document. All others concern the server."""


class MongoDocuments(MongoGenerations):
    """Implements projections.documents.DocumentStore."""

    async def get_many(self, generation: Generation, ids: Collection[str]) -> dict[str, Stored]:
        """See DocumentStore."""
        wanted = {"_id": {"$in": list(ids)}, **unexpired(generation)}
        rows = await self._ask(self._documents(generation).find(wanted).to_list())
        return {row["_id"]: _stored(row) for row in rows}

    async def write(
        self,
        generation: Generation,
        changes: Sequence[Change],
        entries: Sequence[tuple[str, Document]] = (),
        watermarks: Mapping[str, int] | None = None,
    ) -> frozenset[str]:
        """See DocumentStore.

        A generation that is retired during the write may keep the documents: no query reads them.
        """
        entered = [_put(id, {"body": packed(body)}) for id, body in dict(entries).items()]
        changed = [_compare_and_set(change) for change in changes]
        documents = self._documents(generation)
        await self._check_living(generation)
        if entered:
            await self._bulk(documents, entered)
        lost = await self._write_changes(documents, changes, changed) if changed else frozenset[str]()
        if watermarks and not lost:
            await self._mark(generation, watermarks)
        return lost

    async def put_expiring(
        self, collection: str, documents: Mapping[str, Document], expires_at: datetime
    ) -> None:
        """See DocumentStore."""
        rows = [_put(id, {"body": packed(body), EXPIRES: expires_at}) for id, body in documents.items()]
        into = self._documents(Generation(collection, 0))
        # Called each time: it costs nothing if the index exists, and the database may have been emptied.
        await self._ask(into.create_indexes([expiry_index()]))
        if rows:
            await self._bulk(into, rows)

    async def find(
        self,
        generation: Generation,
        where: Sequence[Condition],
        sort: Sort,
        after: Place | None,
        limit: int,
    ) -> list[Found]:
        """See DocumentStore."""
        filter, order = find_filter(generation, where, sort, after)
        cursor = self._documents(generation).find(filter, {"body": 1}).sort(order).limit(limit)
        return [_found(row, sort) for row in await self._ask(cursor.to_list())]

    async def count(self, generation: Generation, where: Sequence[Condition]) -> int:
        """See DocumentStore."""
        return await self._ask(self._documents(generation).count_documents(count_filter(generation, where)))

    async def parked(self, generation: Generation) -> list[Stored]:
        """See DocumentStore."""
        cursor = self._documents(generation).find({PARKED: {"$exists": True}})
        return [_stored(row) for row in await self._ask(cursor.sort([(PARKED, 1), ("_id", 1)]).to_list())]

    async def sweep(self) -> None:
        """Do nothing: MongoDB removes expired documents, and no query returns them until then."""

    async def _write_changes(
        self, documents: AsyncCollection[Fields], changes: Sequence[Change], operations: list[ReplaceOne[Any]]
    ) -> frozenset[str]:
        """Write documents by compare-and-set; returns the ids of those that lost."""
        refused, inserted = await self._bulk(documents, operations)
        # A document that was expected and is missing has been inserted by the upsert: remove it and count
        # it as lost.
        vanished = [changes[i].after for i in inserted if changes[i].before.handled]
        for after in vanished:
            mine = {"_id": after.id, "seen": after.seen, "handled": after.handled}
            await self._ask(documents.delete_one(mine))
        return frozenset([*(changes[i].after.id for i in refused), *(after.id for after in vanished)])

    async def _bulk(
        self, documents: AsyncCollection[Fields], operations: Sequence[ReplaceOne[Any]]
    ) -> tuple[list[int], list[int]]:
        """Run all writes; return the numbers of those that met a duplicate id, and of those that inserted.

        Raises Unavailable or Unwritable; some of the writes may then be done.
        """
        try:
            result = (await self._ask(documents.bulk_write(operations, ordered=False))).bulk_api_result
        except BulkWriteError as error:
            result = error.details
        _raise_worse(result["writeErrors"], result["writeConcernErrors"])
        return [e["index"] for e in result["writeErrors"]], [u["index"] for u in result["upserted"]]


def _compare_and_set(change: Change) -> ReplaceOne[Any]:
    """Return a write that meets a duplicate id, named by its number, if another document is there.

    Without the upsert the answer would give the number of lost writes, and not which ones.
    """
    before, after = change.before, change.after
    fields: Fields = {"seen": after.seen, "handled": after.handled, "listed": after.listed}
    if after.body is not None:
        fields["body"] = packed(after.body)
    if after.parked:
        fields["parked"] = packed(msgspec.to_builtins(after.parked))
    filter = {"_id": packed(before.id), "seen": before.seen, "handled": before.handled}
    return ReplaceOne(filter, encoded({"_id": after.id, **fields}), upsert=True)


def _put(id: str, fields: Fields) -> ReplaceOne[Any]:
    document = {"_id": packed(id), "seen": 0, "handled": 0, "listed": True, **fields}
    return ReplaceOne({"_id": id}, encoded(document), upsert=True)


def _raise_worse(errors: Iterable[Fields], concerns: Sequence[Fields]) -> None:
    for error in errors:
        if error["code"] in _UNWRITABLE:
            raise Unwritable(f"MongoDB can't store this: {error['errmsg']}")
        if error["code"] != _DUPLICATE:
            raise Unavailable(f"MongoDB could not write: {error['errmsg']}")
    if concerns:
        raise Unavailable(
            f"MongoDB did not confirm the write on a majority of its members: {concerns[0]['errmsg']}"
        )


def _stored(row: Fields) -> Stored:
    parked = row.get("parked")
    body = row.get("body")
    return Stored(
        row["_id"],
        row["seen"],
        None if body is None else unpacked(body),
        row["listed"],
        None if parked is None else Parked(**parked),
    )


def _found(row: Fields, sort: Sort) -> Found:
    body = unpacked(row["body"])
    return Found(body, Place(body.get(sort.field), row["_id"]))
