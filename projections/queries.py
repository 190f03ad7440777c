"""The reads: documents and pages of the serving generation, with an optional wait.

A command's Consistency-Token names the positions of its events. A query that carries it waits until its
view has reached them on every shard that the view follows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.consistency import decode_token
from domain.errors import CursorGone, Invalid, ViewBehind
from domain.log import EventStore
from projections.age import Ages
from projections.cursor import decode_cursor, encode_cursor, list_digest
from projections.documents import Condition, DocumentStore, Generation, Place, Sort, Standing, Stored
from projections.progress import Progress
from projections.status import ViewStatus, view_statuses
from projections.view import Document, View

POLL_S = 0.02
"""The interval at which a waiting query reads the store, for projectors in other processes."""

PATIENCE_S = 1.0
"""The longest wait for an event of the log to reach the view: it usually takes a few milliseconds."""

MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Wait:
    """The token to wait for, and the longest wait in s; without both the query does not wait."""

    token: str | None = None
    timeout_s: float | None = None


NO_WAIT = Wait()


@dataclass(frozen=True, slots=True)
class Query:
    """A query. `sort` is a field's name, with a minus for descending; `cursor` comes from the page before."""

    where: tuple[Condition, ...] = ()
    sort: str = "-created_at"
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in order; `next_cursor` is None on the last page."""

    items: tuple[Document, ...]
    next_cursor: str | None


class Views:
    """Every view, for readers. `events` gives the end of the log."""

    def __init__(
        self, store: DocumentStore, views: Sequence[View], events: EventStore, progress: Progress
    ) -> None:
        self._store = store
        self._events = events
        self._views = {view.name: view for view in views}
        self._progress = progress
        self._ages = Ages(store, self._views, events)

    async def get(
        self,
        view: str,
        stream: UUID,
        wait: Wait = NO_WAIT,
        *,
        entry: str | None = None,
        lacks: Callable[[Document], bool] = lambda document: False,
    ) -> Document | None:
        """Return a stream's document, or its entry of this id; None if the log makes none.

        A view follows the log, so a missing document, or one that `lacks` something, may still come: if the
        view has not seen the whole stream, this waits for PATIENCE_S. Raises ViewBehind after that, and
        when `wait` can't be fulfilled because the document's stream is parked.
        """
        generation = (await self._standing(view, wait)).generation
        id = entry or str(stream)
        stored = (await self._store.get_many(generation, [id])).get(id)
        if stored and stored.parked and wait.token and wait.timeout_s is not None:
            wanted = max(decode_token(wait.token).values(), default=0)
            raise ViewBehind(view, wanted, stored.parked.position - 1, [id])
        found = _body(stored)
        if found is None or lacks(found):
            found = await self._when_seen(generation, stream, id, lacks)
        return found and _shown(found)

    async def _when_seen(
        self, generation: Generation, stream: UUID, id: str, lacks: Callable[[Document], bool]
    ) -> Document | None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            moved = self._progress.next(generation.view)
            # Read before the document: the next read of the document has everything that the view has seen
            # by now.
            folded = (await self._store.get_many(generation, [str(stream)])).get(str(stream)) or Stored(id)
            found = _body((await self._store.get_many(generation, [id])).get(id))
            if found is not None and not lacks(found):
                return found
            unseen = await self._events.read_stream(stream, folded.seen, limit=1)
            if not unseen or unseen[0].category not in self._views[generation.view].categories:
                return found
            left = deadline - time.monotonic()
            if folded.parked or left <= 0:
                wanted = unseen[0].position
                raise ViewBehind(generation.view, wanted, wanted - 1, [str(stream)] if folded.parked else ())
            await asyncio.wait([moved], timeout=min(left, POLL_S))

    async def find(self, view: str, query: Query, wait: Wait = NO_WAIT) -> Page:
        """Return a page. Raises ViewBehind, Invalid, and CursorGone if the view was rebuilt in between."""
        sort, limit = self._sort(view, query.sort), min(max(query.limit, 1), MAX_LIMIT)
        standing = await self._standing(view, wait)
        number = standing.generation.number
        after = None if query.cursor is None else _resumed(query, query.cursor, sort, standing.generation)
        found = await self._store.find(standing.generation, query.where, sort, after, limit + 1)
        page = found[:limit]
        digest = list_digest(query.sort, query.where)
        more = encode_cursor(number, digest, page[-1].place) if len(found) > limit else None
        return Page(tuple(_shown(f.body) for f in page), more)

    async def count(self, view: str, where: tuple[Condition, ...] = (), wait: Wait = NO_WAIT) -> int:
        """Return the number of documents that meet the conditions. Raises ViewBehind."""
        return await self._store.count((await self._standing(view, wait)).generation, where)

    async def age_s(self, view: str) -> float:
        """Return the seconds for which an event of the view has waited to be folded, to about a second."""
        return await self._ages.age_s(view)

    async def status(self) -> tuple[ViewStatus, ...]:
        """Return the status of each view: generation, watermarks, lag, parked streams."""
        return await view_statuses(self._store, tuple(self._views.values()), self._events)

    def _sort(self, view: str, sort: str) -> Sort:
        name = sort.removeprefix("-")
        kind = self._views[view].fields.get(name)
        if kind is None or kind == "array":
            fields = ", ".join(field for field, kind in self._views[view].fields.items() if kind != "array")
            raise Invalid("sort", f"cannot sort {view} by `{name}`; sortable fields: {fields}", "sort")
        return Sort(name, kind, sort.startswith("-"))

    async def _standing(self, view: str, wait: Wait) -> Standing:
        wanted = decode_token(wait.token) if wait.token and wait.timeout_s is not None else {}
        deadline = time.monotonic() + (wait.timeout_s or 0.0)
        while True:
            moved = self._progress.next(view)
            standing = await self._store.standing(view)
            behind = _behind(standing, wanted)
            if standing and not behind:
                return standing
            left = deadline - time.monotonic()
            if left <= 0:
                raise ViewBehind(view, *(behind or (max(wanted.values(), default=0), 0)))
            await asyncio.wait([moved], timeout=min(left, POLL_S))


def _resumed(query: Query, cursor: str, sort: Sort, generation: Generation) -> Place:
    number, digest, after = decode_cursor(cursor)
    if number != generation.number:
        raise CursorGone(f"view {generation.view} was rebuilt since this cursor: start without a cursor")
    if digest != list_digest(query.sort, query.where):
        raise Invalid(
            "cursor",
            "the cursor is of a list with another filter or order: start without one",
            "cursor",
        )
    # A cursor is opaque but not signed: a forged one must not reach a store that can't compare its value.
    if after.key is not None and isinstance(after.key, str) != (sort.kind == "text"):
        raise Invalid("cursor", "not a cursor of this list: start again without one", "cursor")
    return after


def _behind(standing: Standing | None, wanted: dict[str, int]) -> tuple[int, int] | None:
    """Return wanted and reached position of a shard on which the view is behind, None if it is not."""
    if standing is None:
        return None
    for shard, reached in standing.watermarks.items():
        if wanted.get(shard, 0) > reached:
            return wanted[shard], reached
    return None


def _body(stored: Stored | None) -> Document | None:
    return stored.body if stored and stored.listed else None


def _shown(body: Document) -> Document:
    return {key: value for key, value in body.items() if not key.startswith("_")}
