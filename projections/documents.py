"""The document port: stores the documents of views, changes them, and finds them.

docs/contracts.md, "Documents", describes it in prose. Adapters: Postgres (JSONB) and MongoDB. A store
without transactions writes in the order entries, documents, watermarks. If it dies in between, a redelivery
leads to the same result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from projections.view import Document, Kind, View

State = Literal["building", "following", "serving", "retired"]
"""building: folds history · following: folds the log · serving: answers reads · retired: to be dropped."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete set of a view's documents; `number` identifies it for ever."""

    view: str
    number: int
    version: int = 0
    state: State = "building"

    @property
    def group(self) -> str:
        """The name of the consumer group in which this generation follows the log."""
        return f"view-{self.view}-{self.number}"


class GenerationGone(Exception):
    """The generation was dropped: a writer to it has missed a rebuild."""


class Unwritable(Exception):
    """The store can't hold one of these documents (a NUL in a text, too large): a retry would fail too."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The reason why a stream is no longer folded: its revisions `revision` to `up_to` wait for a replay.

    `position` and `error` belong to the event that could not be folded.
    """

    revision: int
    up_to: int
    position: int
    error: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A document in the store. `seen` is the last revision folded, 0 = none.

    `body` None is a tombstone. Documents that are not `listed` are neither found nor counted.
    """

    id: str
    seen: int = 0
    body: Document | None = None
    listed: bool = False
    parked: Parked | None = None

    @property
    def handled(self) -> int:
        """The last revision folded or parked; the next event is the one after."""
        return self.parked.up_to if self.parked else self.seen


@dataclass(frozen=True, slots=True)
class Change:
    """A compare-and-set: writes `after` if the store still holds `before`, by `seen` and `handled`."""

    before: Stored
    after: Stored


@dataclass(frozen=True, slots=True)
class Equals:
    """The field has this value."""

    field: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Differs:
    """The field has another value, or none."""

    field: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Has:
    """The array contains this text."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Between:
    """The number exists and lies within the bounds, both included; None is no bound."""

    field: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """The text contains this one exactly."""

    field: str
    text: str


Condition = Equals | Differs | Has | Between | Contains


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a find. A missing field counts as lowest; equal values are ordered by id."""

    field: str
    kind: Kind
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A document's place in an order: its sort value, as the store compares it, and its id."""

    key: str | float | None
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """A found document, and its place in the order."""

    body: Document
    place: Place


@dataclass(frozen=True, slots=True)
class Standing:
    """The generation that serves a view, and the position it has reached on each shard."""

    generation: Generation
    watermarks: Mapping[str, int] = field(default_factory=dict[str, int])


class DocumentStore(Protocol):
    """Documents by view, generation and id. Every method raises Unavailable if the store is unreachable."""

    async def get_many(self, generation: Generation, ids: Collection[str]) -> dict[str, Stored]:
        """Return those of these documents and entries that exist, by id; tombstones and unlisted ones too."""
        ...

    async def write(
        self,
        generation: Generation,
        changes: Sequence[Change],
        entries: Sequence[tuple[str, Document]] = (),
        watermarks: Mapping[str, int] | None = None,
    ) -> frozenset[str]:
        """Write entries, then documents, then, only if no document lost, watermarks (which never go back).

        Returns the ids of the documents that lost their compare-and-set; the others are written.
        Raises Unwritable (nothing is written) or GenerationGone.
        """
        ...

    async def put_expiring(
        self, collection: str, documents: Mapping[str, Document], expires_at: datetime
    ) -> None:
        """Store documents that no event makes, until a time; `Generation(collection, 0)` finds them."""
        ...

    async def find(
        self,
        generation: Generation,
        where: Sequence[Condition],
        sort: Sort,
        after: Place | None,
        limit: int,
    ) -> list[Found]:
        """Return the first `limit` listed documents after `after` that meet every condition."""
        ...

    async def count(self, generation: Generation, where: Sequence[Condition]) -> int:
        """Return the number of listed documents that meet every condition."""
        ...

    async def parked(self, generation: Generation) -> list[Stored]:
        """Return the documents whose streams are parked, earliest position first."""
        ...

    async def ensure_indexes(self, views: Sequence[View]) -> None:
        """Make sure that every index exists. Raises Unavailable where only a migration can make it."""
        ...

    async def sweep(self) -> None:
        """Remove expired documents, if the store does not do so by itself."""
        ...

    async def standing(self, view: str) -> Standing | None:
        """Return the serving generation and its watermarks, read together."""
        ...

    async def generations(self, view: str) -> list[Generation]:
        """Return all generations of a view, oldest first."""
        ...

    async def watermarks(self, generation: Generation) -> dict[str, int]:
        """Return the position reached on each shard."""
        ...

    async def begin(self, view: str, version: int) -> Generation:
        """Return the generation of this version that is building or following, else make one. Atomic."""
        ...

    async def follow(self, generation: Generation) -> None:
        """Mark a building generation as complete: it holds all of history and follows the log from now on."""
        ...

    async def switch(self, generation: Generation) -> bool:
        """Make a following generation serve and retire the old one, atomically; True if it serves now.

        False, without any change, while the old one has reached further on some shard.
        """
        ...

    async def drop_retired(self, older_than_s: float) -> None:
        """Remove generations that were retired longer ago than that, with their documents."""
        ...
