"""The switch of a view's generation on Postgres, at the moment another process writes."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from adapters.postgres.access import Access
from adapters.postgres.documents import PostgresDocuments
from tests.servers.ledgers import open_ledger

pytestmark = pytest.mark.anyio

_WAITS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_a_switch_waits_for_a_write_under_way_and_sees_what_it_wrote(database: Access) -> None:
    """Else readers would see that write in the old generation, and then not see it in the new one."""
    async with open_ledger(database.serving) as ledger:
        store = PostgresDocuments(ledger.pool)
        old = await store.begin("track_list", 1)
        await store.follow(old)
        assert await store.switch(old)
        new = await store.begin("track_list", 2)
        await store.follow(new)
        with psycopg.connect(database.serving) as writer, psycopg.connect(database.superuser) as watcher:
            writer.execute("SELECT write_documents('track_list', %s, '[]', '[]', '{\"0\": 7}')", [old.number])
            switching = asyncio.create_task(store.switch(new))
            async with asyncio.timeout(5):
                while watcher.execute(_WAITS).fetchone() is None:
                    assert not switching.done(), "it did not wait for the write"
                    await asyncio.sleep(0.01)
            writer.commit()
        assert not await switching, "the new generation is behind what readers have seen"
        await store.write(new, [], [], {"0": 7})
        assert await store.switch(new)
