"""A track of ten thousand events is loaded by one snapshot and its tail, counted at a real Postgres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from adapters.postgres.access import Access
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.snapshots import PostgresSnapshots
from commands.issue import Caller, Issue
from commands.pipeline import Pipeline
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.log import PAGE_EVENTS, Page
from domain.track import commands as c
from domain.track.decider import TRACK
from tests.servers.ledgers import Ledger, open_ledger
from tests.servers.long_tracks import lengthen, write_track
from tests.unit.commands.memory import MemoryArtefacts

pytestmark = pytest.mark.anyio

ADA = Caller("user:ada", frozenset({"producer"}))
LONG = 10_000


class Counted:
    """The store of a fresh process, and what was read through it: (after, events read) of each reading."""

    def __init__(self, ledger: Ledger) -> None:
        self._store: PostgresEventStore = ledger.store
        self.snapshots = PostgresSnapshots(ledger.pool)
        self.reads: list[tuple[int, int]] = []
        self.states = States(self, self.snapshots)
        handlers = track_handlers(Versions(MemoryArtefacts()))
        self.pipeline = Pipeline(self, self.states, handlers, ledger.log.shard_of)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_stream(
        self, stream: UUID, after: int = 0, up_to: int | None = None, limit: int = PAGE_EVENTS
    ) -> Page:
        read = await self._store.read_stream(stream, after, up_to, limit)
        self.reads.append((after, len(read)))
        return read

    async def read_streams(self, after: Mapping[UUID, int], limit: int = PAGE_EVENTS) -> Page:
        read = await self._store.read_streams(after, limit)
        self.reads += [(at, sum(event.stream == stream for event in read)) for stream, at in after.items()]
        return read

    async def retitle(self, stream: UUID, title: str) -> int:
        answer = await self.pipeline.execute(c.DescribeTrack(track_id=stream, title=title), Issue(ADA))
        await self.states.close()
        return answer.revision


async def test_ten_thousand_events_are_loaded_by_one_snapshot_and_the_tail(database: Access):
    async with open_ledger(database.serving) as ledger:
        stream = await write_track(ledger.store, LONG)

        first = Counted(ledger)
        assert await first.retitle(stream, "first") == LONG + 1
        assert sum(count for _, count in first.reads) == LONG
        assert max(count for _, count in first.reads) == PAGE_EVENTS
        snapshot = await first.snapshots.read_snapshots("track", 1, [stream])
        assert snapshot[stream][0] == LONG

        await lengthen(ledger.store, stream, LONG + 1, 20)
        restarted = Counted(ledger)
        assert await restarted.retitle(stream, "second") == LONG + 22
        assert restarted.reads == [(LONG - 1, 1), (LONG, 21)]

        assert await restarted.retitle(stream, "third") == LONG + 23
        assert restarted.reads == [(LONG - 1, 1), (LONG, 21), (LONG + 21, 1)]


async def test_a_command_that_changes_nothing_knows_its_place_from_the_snapshot_alone(database: Access):
    async with open_ledger(database.serving) as ledger:
        await write_track(ledger.store, 7)
        stream = await write_track(ledger.store, 300)
        await write_track(ledger.store, 7)
        warm = Counted(ledger)
        await warm.states.load(TRACK.at(stream, str(stream)))
        await warm.states.close()
        restarted = Counted(ledger)
        answer = await restarted.pipeline.execute(
            c.DescribeTrack(track_id=stream, title="title 300"), Issue(ADA)
        )
        assert restarted.reads == [(299, 1), (300, 0)]
        assert (answer.revision, answer.position) == (300, 307)
