"""kill -9 of the writer and of Postgres: what was acknowledged is there, once, and the log has no hole."""

from __future__ import annotations

import asyncio
import random
import sys

import pytest

from tests.servers.ledger_clients import Ack, Clients, check_log
from tests.servers.ledgers import Ledger, open_ledger, whole_log
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio

CLIENTS = 12
ROUNDS = [pytest.param(3, id="three rounds"), pytest.param(50, id="fifty rounds", marks=pytest.mark.soak)]


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_postgres_killed_while_writing(own_postgres: OwnPostgres, rounds: int) -> None:
    """The clients retry with their keys in the one process that lives through it all."""
    clients, dice, stop = Clients("postgres killed"), random.Random(1), asyncio.Event()

    async def write(ledger: Ledger, client: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await clients.run(ledger.store.append, client, [number])

    async with open_ledger(own_postgres.serving, deadline_s=0.3) as ledger:
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(write(ledger, client))
            for _ in range(rounds):
                await _until_more(clients.acknowledged, CLIENTS)
                await asyncio.sleep(dice.random() * 0.3)
                own_postgres.kill()
                await asyncio.sleep(dice.random() * 0.6)
                own_postgres.start()
            await _until_more(clients.acknowledged, CLIENTS)
            stop.set()
        check_log(await whole_log(ledger.store), clients.acknowledged)
    assert clients.outages > 0


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_the_application_killed_while_writing(own_postgres: OwnPostgres, rounds: int) -> None:
    """Its clients turn to the next process with the commands that were not acknowledged, keys and all."""
    acknowledged, dice, lost_answers = dict[Ack, int](), random.Random(2), 0
    for round_ in range(rounds + 1):
        commands = (round_ + 1) * 100
        first = [1 + max((n for c, n in acknowledged if c == client), default=0) for client in range(CLIENTS)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.servers.ledger_clients", own_postgres.serving),
            *("application killed", str(commands), *map(str, first)),
            stdout=asyncio.subprocess.PIPE,
        )
        reading = asyncio.create_task(_read_acknowledgements(process, acknowledged))
        if round_ < rounds:
            await _until_more(acknowledged, CLIENTS)
            await asyncio.sleep(dice.random() * 0.2)
            process.kill()
        await reading
        assert await process.wait() == (-9 if round_ < rounds else 0)
        async with open_ledger(own_postgres.serving) as ledger:
            await asyncio.sleep(0.1)  # a batch that the dead process had sent may come in still
            events = await whole_log(ledger.store)
        check_log(events, acknowledged)
        lost_answers += len({(e.data["client"], e.data["number"]) for e in events}) - len(acknowledged)
    assert len(acknowledged) == CLIENTS * (rounds + 1) * 100
    assert lost_answers > 0, "no command was written whose answer was lost: the test has shown nothing"


async def _read_acknowledgements(process: asyncio.subprocess.Process, acknowledged: dict[Ack, int]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.endswith(b"\n"):
            client, number, position = map(int, line.split())
            acknowledged[client, number] = position


async def _until_more(acknowledged: dict[Ack, int], count: int) -> None:
    wanted = len(acknowledged) + count
    async with asyncio.timeout(60):
        while len(acknowledged) < wanted:
            await asyncio.sleep(0.005)
