"""The log's doors: what write side and read side both rely on, whatever stands behind them.

Two adapters serve them: the Postgres event store alone (embedded), and the store with Kafka in front of the
readers (distributed). docs/contracts.md, "The log's doors", is the prose of this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.log_clock import LogClock
from domain.recorded import Recorded

MAX_EVENT_BYTES = 512_000
MAX_APPEND_BYTES = 4_000_000

PAGE_EVENTS = 500
PAGE_BYTES = 2_000_000
"""The JSON of a page, or of a batch of a subscription, but for a single event that is larger.

Decoded, a beat of 9 characters is a float and a pointer of 32 bytes: a page is 8 MB in memory at most.
"""


class Page(list[Recorded]):
    """Events in order, cut by number and by bytes; `more` = there are others behind the last one.

    `bytes` is the length of their JSON.
    """

    def __init__(self, events: Iterable[Recorded] = (), *, more: bool = False, bytes: int = 0) -> None:
        super().__init__(events)
        self.more = more
        self.bytes = bytes


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who did it and why; the same for every event of one command."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append: its registered name and version, its JSON, and the id it will keep for ever."""

    event_id: UUID
    type: str
    schema_version: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Slice:
    """What one append says of one stream: it stands at `expected`, and gets `events` (none = an assertion).

    `expected` 0 means that the stream does not exist yet.
    """

    stream: UUID
    expected: int
    category: str
    partition_key: str
    events: tuple[NewEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandKey:
    """Makes an append happen once: stored with it, together with the answer a repetition will get.

    `fingerprint` is a digest of the validated command; `body` lacks revision and position, which only the
    append knows.
    """

    command_id: UUID
    fingerprint: bytes
    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The first answer to a command key, as a repetition sees it."""

    fingerprint: bytes
    status: int
    body: Mapping[str, Any]
    revision: int
    position: int


@dataclass(frozen=True, slots=True)
class Appended:
    """A durable append. `position` is its last event's, `revision` that of its first slice's stream.

    `repeated` is the first answer when the command key had been used before: nothing was written now.
    """

    position: int
    revision: int
    recorded_at: datetime | None
    repeated: StoredAnswer | None = None


class EventStore(Protocol):
    """The append-only log of truth: append, and history read back by stream or by position."""

    async def append(
        self,
        slices: Sequence[Slice],
        metadata: Metadata,
        command_key: CommandKey | None = None,
        not_after: datetime | None = None,
    ) -> Appended:
        """Write all slices together or none, durably.

        Raises RevisionConflict, Expired, KeyReused, EventTooLarge, Busy (nothing written) or Unavailable
        (unknown whether written: retry with the same command key and event ids).
        """
        ...

    async def find_answer(self, command_id: UUID) -> StoredAnswer | None:
        """Return the stored answer of a command key, if it was used."""
        ...

    async def read_stream(
        self, stream: UUID, after: int = 0, up_to: int | None = None, limit: int = PAGE_EVENTS
    ) -> Page:
        """Return the first `limit`, or PAGE_BYTES, of a stream's events with after < revision <= up_to."""
        ...

    async def read_streams(self, after: Mapping[UUID, int], limit: int = PAGE_EVENTS) -> Page:
        """Return the first `limit`, or PAGE_BYTES, of these streams' events above a revision each.

        In the order of the log. One round trip, however many the streams.
        """
        ...

    async def read_log(
        self,
        after_position: int = 0,
        limit: int = PAGE_EVENTS,
        *,
        up_to: int | None = None,
        categories: Collection[str] | None = None,
        type: str | None = None,
        actor: str | None = None,
        stream: UUID | None = None,
        correlation_id: UUID | None = None,
    ) -> Page:
        """Return the first `limit`, or PAGE_BYTES, of the matching events in (after_position, up_to]."""
        ...

    async def head(self) -> int:
        """Return the position of the last event, 0 for an empty log."""
        ...

    async def clock(self) -> LogClock:
        """Return the database's time and that of the last event. Raises Unavailable."""
        ...


Offsets = Mapping[str, int]
"""Shard to last position (embedded) or next offset (Kafka): opaque but to the adapter that gave it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a subscription has next: events of one or more shards, each shard's in order.

    `reached` is, for each shard, the position up to which the group has now been shown everything it
    subscribed to, whether or not an event of this batch stands there. `offsets` is where each shard of the
    batch goes on behind it. `bytes` is the length of the events' JSON.
    """

    events: tuple[Recorded, ...]
    reached: Mapping[str, int] = field(default_factory=dict[str, int])
    offsets: Offsets = field(default_factory=dict[str, int])
    bytes: int = 0


class Subscription(Protocol):
    """One member of a consumer group: batches, and a commit after each has taken effect."""

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Iterate over batches for ever; an uncommitted batch comes again after a restart."""
        ...

    async def commit(self, batch: Batch | None = None) -> None:
        """Record that this batch and those before have taken effect; None = every batch handed out so far."""
        ...

    @property
    def reached(self) -> Mapping[str, int]:
        """For each shard this member reads now, up to which position it was shown; only what is known."""
        ...


class Log(Protocol):
    """The log as consumers follow it, in groups that each see every event at least once, in key order."""

    def subscribe(
        self, group: str, categories: Collection[str], limit: int = PAGE_EVENTS
    ) -> AbstractAsyncContextManager[Subscription]:
        """Join a started group; a batch has at most `limit` events or PAGE_BYTES, never waits to fill."""
        ...

    async def end_offsets(self, categories: Collection[str]) -> Offsets:
        """Return where each shard ends now."""
        ...

    async def start_group(self, group: str, offsets: Offsets) -> None:
        """Create a group that begins at these offsets; a group that exists is set to them."""
        ...

    async def group_exists(self, group: str) -> bool:
        """Say whether the group was started before."""
        ...

    def shard_of(self, category: str, partition_key: str) -> str:
        """Return the shard that carries this key; the unit of a Consistency-Token."""
        ...
