"""Many writers and a reader that follows them: none missed, none twice, no hole, streams in order."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from adapters.postgres.access import Access
from domain.log import Appended, CommandKey
from domain.recorded import Recorded
from tests.servers.ledger_clients import Ack, Clients, check_log
from tests.servers.ledgers import Ledger, open_ledger

pytestmark = pytest.mark.anyio


async def _follow(ledger: Ledger, seen: list[Recorded]) -> None:
    async with ledger.log.subscribe("reader", ["track"]) as subscription:
        async for batch in subscription:
            seen.extend(batch.events)
            assert batch.reached["0"] >= seen[-1].position
            await subscription.commit()


async def _until(seen: list[Recorded], count: int) -> None:
    async with asyncio.timeout(60):
        while len(seen) < count:
            await asyncio.sleep(0.01)


async def test_sixteen_writers_and_a_tailing_reader(database: Access) -> None:
    """20,000 events through both doors, with conflicts and appends to several streams mixed in."""
    clients, seen = Clients("sixteen writers"), list[Recorded]()
    async with open_ledger(database.serving) as ledger:

        async def in_a_thread(slices: Any, metadata: Any, command_key: CommandKey) -> Appended:
            return await asyncio.to_thread(ledger.store.append_sync, slices, metadata, command_key)

        await ledger.log.start_group("reader", {"0": 0})
        reader = asyncio.create_task(_follow(ledger, seen))
        async with asyncio.TaskGroup() as writers:
            for client in range(16):
                door = in_a_thread if client % 2 else ledger.store.append
                writers.create_task(clients.run(door, client, range(1, 561)))
        head = await ledger.store.head()
        await _until(seen, head)
        reader.cancel()
    check_log(seen, clients.acknowledged)
    assert len(seen) == head >= 20_000
    assert len(clients.acknowledged) == 16 * 560
    assert clients.conflicts > 100


async def test_two_processes_write_at_once(database: Access) -> None:
    """Each has its own flusher; the database's lock makes one order of them, which a third follows."""
    seen, acknowledged = list[Recorded](), dict[Ack, int]()
    async with open_ledger(database.serving) as ledger:
        await ledger.log.start_group("reader", {"0": 0})
        reader = asyncio.create_task(_follow(ledger, seen))
        outputs = await asyncio.gather(
            _writing_process(database, first=[1] * 8), _writing_process(database, first=[10**9] * 8 + [1] * 8)
        )
        for line in b"".join(outputs).splitlines():
            client, number, position = map(int, line.split())
            acknowledged[client, number] = position
        await _until(seen, await ledger.store.head())
        reader.cancel()
    check_log(seen, acknowledged)
    assert len(acknowledged) == 16 * 150


async def _writing_process(database: Access, first: list[int]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.servers.ledger_clients",
        database.serving,
        "two processes",
        "150",
        *map(str, first),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output
