"""Tracks whose grids were corrected over and over, each grid as large as it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from adapters.postgres.data_folder import DataFolder
from adapters.postgres.running import running_or_own
from app.migration import prepare
from domain import ids
from domain.events import REGISTRY
from domain.log import MAX_APPEND_BYTES, EventStore, Metadata, NewEvent, Slice
from domain.registry import Event
from tests.servers.ledgers import open_ledger
from tests.unit.domain import tracks as t

BEATS = 20_000
"""The most a grid may have."""

_APART_MS = 60.0
_TOLD = Metadata("service:test", UUID(int=1), None, UUID(int=1))


def write_into(path: Path, tracks: int, overrides: int) -> list[UUID]:
    """Make a data folder whose log holds that many such tracks, and return them; its Postgres ends again."""
    folder = DataFolder(path)
    with running_or_own(folder) as access:
        prepare(access)
        return asyncio.run(_write(access.serving, tracks, overrides))


async def write_large(store: EventStore, overrides: int) -> UUID:
    """Append a track with so many overrides, and return its stream."""
    stream, told = uuid7(), 0
    for events in _appends(history(stream, overrides)):
        await store.append([Slice(stream, told, "track", str(stream), events)], _TOLD)
        told += len(events)
    return stream


def history(stream: UUID, overrides: int) -> Iterator[Event]:
    """Yield an analysed track's events, and after them its overrides, no grid the same as another."""
    job = ids.job_id(stream, 1)
    yield t.uploaded(track_id=stream)
    yield t.queued(job_id=job)
    yield msgspec.structs.replace(t.started(), job_id=job)
    yield t.completed(job_id=job, beats_ms=_grid(0), downbeats_ms=_grid(0)[::4])
    for number in range(1, overrides + 1):
        beats = _grid(number)
        yield msgspec.structs.replace(t.overridden(number + 1, beats), downbeats_ms=beats[::4])


def _grid(number: int) -> tuple[float, ...]:
    return tuple(round(beat * _APART_MS + number * 0.037 + beat % 7 * 0.211, 3) for beat in range(BEATS))


def _appends(events: Iterator[Event]) -> Iterator[tuple[NewEvent, ...]]:
    some: list[NewEvent] = []
    for event in events:
        encoded = REGISTRY.encode(event, uuid7())
        if sum(len(e.data) for e in (*some, encoded)) > MAX_APPEND_BYTES * 0.9:
            yield tuple(some)
            some = []
        some.append(encoded)
    yield tuple(some)


async def _write(serving: str, tracks: int, overrides: int) -> list[UUID]:
    async with open_ledger(serving, deadline_s=60.0) as ledger:
        return [await write_large(ledger.store, overrides) for _ in range(tracks)]
