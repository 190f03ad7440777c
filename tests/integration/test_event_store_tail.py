"""The tail reader: quick after a write, patient through an outage, and never past what it hasn't shown."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres import tail
from adapters.postgres.access import Access
from domain.errors import Unavailable
from domain.recorded import Recorded
from tests.servers.ledger_clients import Clients, check_log
from tests.servers.ledgers import Ledger, a_slice, open_ledger, told_by
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio


async def _follow(ledger: Ledger, seen: list[Recorded]) -> None:
    async with ledger.log.subscribe("reader", ["track"]) as subscription:
        async for batch in subscription:
            seen.extend(batch.events)
            await subscription.commit()


async def _until_position(seen: list[Recorded], position: int, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not seen or seen[-1].position < position:
            await asyncio.sleep(0.001)


async def test_a_write_of_this_process_wakes_the_reader_at_once(
    database: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With polls an hour apart only the flusher's bell can have done it."""
    monkeypatch.setattr(tail, "_POLL_S", (3600.0, 3600.0))
    seen: list[Recorded] = []
    async with open_ledger(database.serving) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        reader = asyncio.create_task(_follow(ledger, seen))
        for position in range(1, 6):
            await asyncio.sleep(0.05)
            await ledger.store.append([a_slice(uuid4(), 0)], told_by())
            await _until_position(seen, position, within_s=10)
        reader.cancel()


async def test_a_write_of_another_process_is_seen_by_polling(database: Access) -> None:
    seen: list[Recorded] = []
    async with open_ledger(database.serving) as reading, open_ledger(database.serving) as writing:
        await reading.log.start_group("reader", {"0": 0})
        reader = asyncio.create_task(_follow(reading, seen))
        for position in range(1, 6):
            await asyncio.sleep(0.1)
            await writing.store.append([a_slice(uuid4(), 0)], told_by())
            await _until_position(seen, position, within_s=10)
        reader.cancel()


async def test_the_reader_goes_on_by_itself_after_an_outage_and_skips_nothing(
    own_postgres: OwnPostgres,
) -> None:
    """Killed twice and stopped once while others write; nobody restarts the reader."""
    clients, seen = Clients("tail"), list[Recorded]()
    async with open_ledger(own_postgres.serving, 1.0) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        reader = asyncio.create_task(_follow(ledger, seen))
        async with asyncio.TaskGroup() as group:
            for client in range(4):
                group.create_task(clients.run(ledger.store.append, client, range(1, 101)))
            for _ in range(2):
                await asyncio.sleep(0.1)
                own_postgres.kill()
                await asyncio.sleep(0.3)
                own_postgres.start()
            own_postgres.pause()
            await asyncio.sleep(1.0)
            own_postgres.resume()
        await _until_position(seen, await _head(ledger))
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    check_log(seen, clients.acknowledged)
    assert len(clients.acknowledged) == 400


async def test_a_commit_waits_for_postgres(own_postgres: OwnPostgres) -> None:
    async with open_ledger(own_postgres.serving) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        await ledger.store.append([a_slice(uuid4(), 0, 3)], told_by())
        async with ledger.log.subscribe("reader", ["track"]) as subscription:
            await anext(aiter(subscription))
            own_postgres.stop()  # not killed: a backend that has not noticed yet could still take the commit
            committing = asyncio.create_task(subscription.commit())
            await asyncio.sleep(0.5)
            assert not committing.done()
            own_postgres.start()
            async with asyncio.timeout(10):
                await committing
        with psycopg.connect(own_postgres.serving) as serving:
            assert serving.execute("SELECT position FROM log_groups").fetchone() == (3,)


async def test_a_checkpoint_never_goes_back(database: Access) -> None:
    """Two members of one group, one of them a zombie that commits late."""
    async with open_ledger(database.serving) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        await ledger.store.append([a_slice(uuid4(), 0, 6)], told_by())
        async with (
            ledger.log.subscribe("reader", ["track"], limit=2) as slow,
            ledger.log.subscribe("reader", ["track"]) as fast,
        ):
            await anext(aiter(slow))
            await anext(aiter(fast))
            await fast.commit()
            await slow.commit()
        with psycopg.connect(database.serving) as serving:
            assert serving.execute("SELECT position FROM log_groups").fetchone() == (6,)


async def _head(ledger: Ledger) -> int:
    deadline = time.monotonic() + 10
    while True:
        try:
            return await ledger.store.head()
        except Unavailable:
            assert time.monotonic() < deadline


async def test_a_reader_that_is_cancelled_as_the_bell_rings_ends(database: Access) -> None:
    """asyncio.wait_for() swallowed such a cancellation in Python 3.11, and the reader read on for ever."""
    async with open_ledger(database.serving) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        for steps in [0, 1, 2, 3, 4] * 4:
            reader = asyncio.create_task(_follow(ledger, []))
            await asyncio.sleep(0.05)
            ledger.bell.ring()
            for _ in range(steps):
                await asyncio.sleep(0)
            reader.cancel()
            done, _ = await asyncio.wait([reader], timeout=10)
            assert done, f"cancelled {steps} steps after the ring, the reader reads on"
