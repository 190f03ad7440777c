"""Snapshots: the latest of each stream, of the fold that reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from adapters.postgres.access import Access
from adapters.postgres.pool import make_pool
from adapters.postgres.snapshots import PostgresSnapshots

pytestmark = pytest.mark.anyio


@pytest.fixture
async def snapshots(database: Access) -> AsyncIterator[PostgresSnapshots]:
    async with make_pool(database.serving) as pool:
        yield PostgresSnapshots(pool)


async def latest(snapshots: PostgresSnapshots, stream: UUID, version: int) -> tuple[int, bytes] | None:
    return (await snapshots.read_snapshots("track", version, [stream])).get(stream)


async def test_two_folds_of_one_stream_have_a_snapshot_each(snapshots: PostgresSnapshots) -> None:
    stream = uuid4()
    await snapshots.write_snapshot("track", 1, stream, 300, b"a track")
    await snapshots.write_snapshot("charts", 1, stream, 200, b"a chart")
    assert await latest(snapshots, stream, 1) == (300, b"a track")
    assert await snapshots.read_snapshots("charts", 1, [stream]) == {stream: (200, b"a chart")}


async def test_many_streams_are_read_at_once(snapshots: PostgresSnapshots) -> None:
    streams = [uuid4() for _ in range(3)]
    for number, stream in enumerate(streams[:2], 1):
        await snapshots.write_snapshot("track", 1, stream, number, b"state")
    found = await snapshots.read_snapshots("track", 1, streams)
    assert found == {streams[0]: (1, b"state"), streams[1]: (2, b"state")}


async def test_a_snapshot_reads_back(snapshots: PostgresSnapshots) -> None:
    stream = uuid4()
    assert await latest(snapshots, stream, 1) is None
    await snapshots.write_snapshot("track", 1, stream, 100, b"\0 state")
    assert await latest(snapshots, stream, 1) == (100, b"\0 state")
    assert await latest(snapshots, uuid4(), 1) is None


async def test_a_snapshot_never_goes_back(snapshots: PostgresSnapshots) -> None:
    """A slow process may write an older one last."""
    stream = uuid4()
    for revision in (100, 300, 200, 300):
        await snapshots.write_snapshot("track", 1, stream, revision, str(revision).encode())
    assert await latest(snapshots, stream, 1) == (300, b"300")


async def test_a_snapshot_of_another_fold_is_ignored(snapshots: PostgresSnapshots) -> None:
    stream = uuid4()
    await snapshots.write_snapshot("track", 1, stream, 300, b"old fold")
    assert await latest(snapshots, stream, 2) is None


async def test_a_newer_fold_replaces_the_snapshot_of_an_older_one_at_any_revision(
    snapshots: PostgresSnapshots,
) -> None:
    stream = uuid4()
    await snapshots.write_snapshot("track", 1, stream, 300, b"old fold")
    await snapshots.write_snapshot("track", 2, stream, 200, b"new fold")
    await snapshots.write_snapshot("track", 1, stream, 400, b"old fold, still serving")
    assert await latest(snapshots, stream, 2) == (200, b"new fold")
