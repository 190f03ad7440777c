"""The document port: where views keep their documents, how these change, and how they are found.

docs/contracts.md, "Documents", is the prose of this file. Adapters: Postgres (JSONB) and MongoDB.
A store without transactions writes in the order entries, documents, watermarks: dying in between, it leaves a
state from which a redelivery comes to the same end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from projections.view import Document, Kind, View

State = Literal["building", "following", "serving", "retired"]
"""building: history is folded · following: so is the log · serving: is read · retired: to be dropped."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete set of a view's documents; `number` names it for ever."""

    view: str
    number: int
    version: int = 0
    state: State = "building"

    @property
    def group(self) -> str:
        """The name of the consumer group in which this generation follows the log."""
        return f"view-{self.view}-{self.number}"


class GenerationGone(Exception):
    """The generation was dropped: whoever still writes to it is late by a rebuild."""


class Unwritable(Exception):
    """The store can't hold one of these documents (a NUL in a text, too large): trying again won't help."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Why and from where a stream is no longer folded: `revision` to `up_to` wait for a replay.

    `position` and `error` are those of the event that could not be folded.
    """

    revision: int
    up_to: int
    position: int
    error: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as the store holds it. `seen` is the last revision folded, 0 = nothing yet.

    `body` None is a tombstone. What is not `listed` is neither found nor counted.
    """

    id: str
    seen: int = 0
    body: Document | None = None
    listed: bool = False
    parked: Parked | None = None

    @property
    def handled(self) -> int:
        """The last revision folded or parked: what comes next is the one after."""
        return self.parked.up_to if self.parked else self.seen


@dataclass(frozen=True, slots=True)
class Change:
    """A compare-and-set: `after` is written if the store still holds `before`, by `seen` and `handled`."""

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
    """The number is there and within the bounds, both included; None is no bound."""

    field: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Contains:
    """The text contains this one, letter by letter."""

    field: str
    text: str


Condition = Equals | Differs | Has | Between | Contains


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a find. What lacks the field counts as lowest; equal values are ordered by id."""

    field: str
    kind: Kind
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A document's place in an order: the value sorted by, as the store compares it, and its id."""

    key: str | float | None
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was found, and where to go on after it."""

    body: Document
    place: Place


@dataclass(frozen=True, slots=True)
class Standing:
    """The generation that serves a view, and the position it has reached on each shard."""

    generation: Generation
    watermarks: Mapping[str, int] = field(default_factory=dict[str, int])


class DocumentStore(Protocol):
    """Documents by view, generation and id. Every method raises Unavailable when the store is away."""

    async def get_many(self, generation: Generation, ids: Collection[str]) -> dict[str, Stored]:
        """Return what is there of these documents and entries, by id; tombstones and unlisted ones too."""
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
        """Keep documents no event tells of, until a time; they are found in `Generation(collection, 0)`."""
        ...

    async def find(
        self,
        generation: Generation,
        where: Sequence[Condition],
        sort: Sort,
        after: Place | None,
        limit: int,
    ) -> list[Found]:
        """Return the first `limit` listed documents behind `after` that meet every condition."""
        ...

    async def count(self, generation: Generation, where: Sequence[Condition]) -> int:
        """Return how many listed documents meet every condition."""
        ...

    async def parked(self, generation: Generation) -> list[Stored]:
        """Return the documents whose streams are parked, the earliest position first."""
        ...

    async def ensure_indexes(self, views: Sequence[View]) -> None:
        """See to it that every index of the views is there. Raises Unavailable where only a migration can."""
        ...

    async def sweep(self) -> None:
        """Remove what has expired, where the store does not do so by itself."""
        ...

    async def standing(self, view: str) -> Standing | None:
        """Return the serving generation and its watermarks, read together."""
        ...

    async def generations(self, view: str) -> list[Generation]:
        """Return all generations of a view, the oldest first."""
        ...

    async def watermarks(self, generation: Generation) -> dict[str, int]:
        """Return the position reached on each shard."""
        ...

    async def begin(self, view: str, version: int) -> Generation:
        """Return the generation of this version that is building or following, else make one. Atomic."""
        ...

    async def follow(self, generation: Generation) -> None:
        """Note that a building generation holds all of history and follows the log from here on."""
        ...

    async def switch(self, generation: Generation) -> bool:
        """Let a following generation serve and retire the one before, atomically; True when it serves.

        False, and nothing done, while the one before has reached further on some shard.
        """
        ...

    async def drop_retired(self, older_than_s: float) -> None:
        """Remove generations retired longer ago than that, with their documents."""
        ...
