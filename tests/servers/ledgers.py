"""An open event store over a test's database, and events to put into it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec

from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.flush_bell import FlushBell
from adapters.postgres.pool import Pool, make_pool
from adapters.postgres.tail import PostgresLog
from domain.log import CommandKey, EventStore, Log, Metadata, NewEvent, Slice
from domain.recorded import Recorded


@dataclass(frozen=True)
class Ledger:
    """The parts of one process."""

    store: PostgresEventStore
    log: Log
    queue: AppendQueue
    pool: Pool
    bell: FlushBell


@asynccontextmanager
async def open_ledger(serving: str, deadline_s: float = 5.0) -> AsyncGenerator[Ledger]:
    """Give a store and a log as the serving role, as one process has them."""
    bell = FlushBell()
    queue = AppendQueue(serving, bell.ring)
    async with make_pool(serving) as pool:
        try:
            store = PostgresEventStore(queue, pool, deadline_s)
            yield Ledger(store, PostgresLog(pool, bell), queue, pool, bell)
        finally:
            queue.close(patience_s=1.0)


async def whole_log(store: EventStore, **filters: Any) -> list[Recorded]:
    """Return every event that matches, page by page."""
    found: list[Recorded] = []
    while page := await store.read_log(found[-1].position if found else 0, **filters):
        found += page
    return found


def an_event(data: object = None, type_: str = "track.described") -> NewEvent:
    """Return a new event; its data is encoded as JSON."""
    return NewEvent(uuid4(), type_, 1, msgspec.json.encode({} if data is None else data))


def events(count: int) -> tuple[NewEvent, ...]:
    """Return new events numbered in their data."""
    return tuple(an_event({"n": number}) for number in range(1, count + 1))


def a_slice(stream: UUID, expected: int, count: int = 1, category: str = "track") -> Slice:
    """Return a slice of `count` new events; 0 asserts only."""
    return Slice(stream, expected, category, str(stream), events(count))


def told_by(actor: str = "user:3f6c", correlation_id: UUID | None = None) -> Metadata:
    """Return the metadata of a command."""
    command_id = uuid4()
    return Metadata(actor, correlation_id or command_id, None, command_id, "00-4bf92f35-00f067aa-01")


def a_key(command_id: UUID | None = None, fingerprint: bytes = b"the command") -> CommandKey:
    """Return a command key with an answer."""
    return CommandKey(command_id or uuid4(), fingerprint, 202, {"track_id": "t", "title": "\0 and ü"})
