"""Snapshots: the latest of each stream, of the fold that reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from adapters.postgres.access import Access
from adapters.postgres.pool import make_pool
from adapters.postgres.snapshots import PostgresSnapshots

pytestmark = pytest.mark.anyio


@pytest.fixture
async def snapshots(database: Access) -> AsyncIterator[PostgresSnapshots]:
    async with make_pool(database.serving) as pool:
        yield PostgresSnapshots(pool)


async def test_a_snapshot_reads_back(snapshots: PostgresSnapshots) -> None:
    stream = uuid4()
    assert await snapshots.read_snapshot(stream, 1) is None
    await snapshots.write_snapshot(stream, 100, 1, b"\0 state")
    assert await snapshots.read_snapshot(stream, 1) == (100, b"\0 state")
    assert await snapshots.read_snapshot(uuid4(), 1) is None


async def test_a_snapshot_never_goes_back(snapshots: PostgresSnapshots) -> None:
    """A slow process may write an older one last."""
    stream = uuid4()
    for revision in (100, 300, 200, 300):
        await snapshots.write_snapshot(stream, revision, 1, str(revision).encode())
    assert await snapshots.read_snapshot(stream, 1) == (300, b"300")


async def test_a_snapshot_of_another_fold_is_ignored(snapshots: PostgresSnapshots) -> None:
    stream = uuid4()
    await snapshots.write_snapshot(stream, 300, 1, b"old fold")
    assert await snapshots.read_snapshot(stream, 2) is None


async def test_a_newer_fold_replaces_the_snapshot_of_an_older_one_at_any_revision(
    snapshots: PostgresSnapshots,
) -> None:
    stream = uuid4()
    await snapshots.write_snapshot(stream, 300, 1, b"old fold")
    await snapshots.write_snapshot(stream, 200, 2, b"new fold")
    await snapshots.write_snapshot(stream, 400, 1, b"old fold, still serving")
    assert await snapshots.read_snapshot(stream, 2) == (200, b"new fold")
