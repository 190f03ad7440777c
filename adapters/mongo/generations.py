"""The generations of a view, and which of them serves: one control document for each view.

Compare-and-set on its revision changes it. It holds the watermarks too, so that a switch is one write and
`standing` is one read. A generation's documents are in a collection of its own, named after its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from adapters.mongo.bodies import unpacked, written_name
from adapters.mongo.control import Entries, begin, drop, follow, listed, switch
from adapters.mongo.document_indexes import view_indexes
from adapters.mongo.server import Fields, MongoServer
from projections.documents import Generation, GenerationGone, Standing
from projections.view import View

R = TypeVar("R")

INDEXING_S = 60.0
"""The longest wait for an index over existing documents."""

_NO_CONTROL: Fields = {"revision": 0, "generations": {}}
_LIVING = {"$in": ["building", "following", "serving"]}


class MongoGenerations:
    """Generations and watermarks, as defined by projections.documents.DocumentStore.

    `views` names the indexes that a new generation gets before its first document.
    """

    def __init__(self, server: MongoServer, views: Sequence[View]) -> None:
        self._ask = server.ask
        self._database = server.database
        self._control = server.database["view_generations"]
        self._views = {view.name: view for view in views}

    async def ensure_indexes(self, views: Sequence[View]) -> None:
        """See DocumentStore."""
        for view in views:
            for generation in await self.generations(view.name):
                # The indexes of another version are made by the process that has that version.
                if generation.version == view.version and generation.state != "retired":
                    with pymongo.timeout(INDEXING_S):
                        await self._index(generation, view)

    async def standing(self, view: str) -> Standing | None:
        """See DocumentStore. One read, so generation and watermarks belong together."""
        entries = await self._entries(view)
        for generation in listed(view, entries):
            if generation.state == "serving":
                return Standing(generation, unpacked(entries[str(generation.number)]["watermarks"]))
        return None

    async def generations(self, view: str) -> list[Generation]:
        """See DocumentStore."""
        return listed(view, await self._entries(view))

    async def watermarks(self, generation: Generation) -> dict[str, int]:
        """See DocumentStore."""
        entry = (await self._entries(generation.view)).get(str(generation.number))
        return unpacked(entry["watermarks"]) if entry else {}

    async def begin(self, view: str, version: int) -> Generation:
        """See DocumentStore."""
        generation = await self._change(view, partial(begin, view, version, datetime.now(UTC)))
        # Also if it exists: the process that began it may have died before it made the indexes.
        await self._index(generation, self._views.get(view))
        return generation

    async def follow(self, generation: Generation) -> None:
        """See DocumentStore."""
        await self._change(generation.view, partial(follow, generation, datetime.now(UTC)))

    async def switch(self, generation: Generation) -> bool:
        """See DocumentStore."""
        return await self._change(generation.view, partial(switch, generation, datetime.now(UTC)))

    async def drop_retired(self, older_than_s: float) -> None:
        """See DocumentStore. Also drops collections that a late writer made again after the drop."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        # Lists the collections first and the generations second: a generation begun in between is in
        # neither list.
        there = await self._ask(self._database.list_collection_names())
        for control in await self._ask(self._control.find({}, {"_id": 1}).to_list()):
            left = await self._change(control["_id"], partial(drop, before))
            for name in there:
                prefix, _, number = name.rpartition("_")
                if prefix == control["_id"] and number.isdecimal() and number not in left:
                    await self._ask(self._database.drop_collection(name))

    def _documents(self, generation: Generation) -> AsyncCollection[Fields]:
        """Return a generation's collection; number 0 is that of documents without events."""
        name = f"{generation.view}_{generation.number}" if generation.number else generation.view
        return self._database[name]

    async def _check_living(self, generation: Generation) -> None:
        entry = (await self._entries(generation.view)).get(str(generation.number))
        if entry is None or entry["state"] == "retired":
            raise _gone(generation)

    async def _mark(self, generation: Generation, watermarks: Mapping[str, int]) -> None:
        """Move the watermarks of a living generation forward, in one update. Raises GenerationGone."""
        entry = f"generations.{generation.number}"
        reached = {f"{entry}.watermarks.{written_name(shard)}": at for shard, at in watermarks.items()}
        living = {"_id": generation.view, f"{entry}.state": _LIVING}
        moved = self._control.update_one(living, {"$max": reached, "$inc": {"revision": 1}})
        result = await self._ask(moved)
        if not result.matched_count:
            raise _gone(generation)

    async def _index(self, generation: Generation, view: View | None) -> None:
        await self._ask(self._documents(generation).create_indexes(view_indexes(view)))

    async def _entries(self, view: str) -> Entries:
        control = await self._ask(self._control.find_one({"_id": view}))
        return control["generations"] if control else {}

    async def _change(self, view: str, change: Callable[[Entries], R]) -> R:
        """Apply `change` to a view's generations and write them back; repeat it after a lost race."""
        while True:
            control = await self._ask(self._control.find_one({"_id": view})) or _NO_CONTROL
            entries = deepcopy(control["generations"])
            answer = change(entries)
            if entries == control["generations"] or await self._replace(view, control, entries):
                return answer

    async def _replace(self, view: str, control: Fields, entries: Entries) -> bool:
        revision = control["revision"]
        after = {"_id": view, "revision": revision + 1, "generations": entries}
        try:
            # Only the first change inserts the control document: a database emptied meanwhile must stay
            # empty.
            before = {"_id": view, "revision": revision}
            result = await self._ask(self._control.replace_one(before, after, upsert=revision == 0))
        except DuplicateKeyError:
            return False
        return result.matched_count > 0 or result.upserted_id is not None


def _gone(generation: Generation) -> GenerationGone:
    return GenerationGone(f"generation {generation.number} of {generation.view} is retired or unknown")
