"""Every door to Postgres answers within seconds, whatever has become of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.postgres.pool import Pool, connection, make_pool
from domain.errors import Unavailable
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(own_postgres: OwnPostgres) -> AsyncIterator[Pool]:
    """A pool whose connections are all made and were used at once."""
    pool = make_pool(own_postgres.serving, max_size=4)
    await pool.open()
    await asyncio.gather(*(_ask(pool, "SELECT pg_sleep(.1)") for _ in range(4)))
    yield pool
    await pool.close()


async def _ask(pool: Pool, question: str = "SELECT 42", deadline_s: float = 1.0) -> object:
    async with connection(pool, deadline_s) as borrowed:
        row = await (await borrowed.execute(question.encode())).fetchone()
        assert row is not None
        return row[0]


async def _ask_until_answered(pool: Pool, within_s: float) -> object:
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await _ask(pool)
        except Unavailable:
            assert time.monotonic() < deadline, "no recovery"


async def test_a_pool_opens_without_a_server_and_finds_it_later(own_postgres: OwnPostgres) -> None:
    own_postgres.stop()
    with capture_logs() as said:
        async with make_pool(own_postgres.serving) as pool:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await _ask(pool)
            own_postgres.start()
            assert await _ask_until_answered(pool, within_s=15) == 42
    assert [line["event"] for line in said] == ["postgres.away", "postgres.back"], "once each"


async def test_a_restart_of_the_server_costs_no_request(own_postgres: OwnPostgres, pool: Pool) -> None:
    """The pool's four dead connections are noticed before anybody gets one."""
    own_postgres.kill()
    own_postgres.start()
    assert await asyncio.gather(*(_ask(pool) for _ in range(8))) == [42] * 8


async def test_while_the_server_is_gone_requests_fail_in_time_and_recover(
    own_postgres: OwnPostgres, pool: Pool
) -> None:
    own_postgres.kill()
    began = time.monotonic()
    answers = await asyncio.gather(*(_ask(pool) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert time.monotonic() - began < 9
    own_postgres.start()
    assert await _ask_until_answered(pool, within_s=15) == 42


async def test_a_stopped_server_leads_to_an_answer_in_time(own_postgres: OwnPostgres, pool: Pool) -> None:
    """SIGSTOP leaves the connections open and silent; twenty callers wait for four of them."""
    own_postgres.pause()
    began = time.monotonic()
    answers = await asyncio.gather(*(_ask(pool) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert time.monotonic() - began < 9
    own_postgres.resume()
    assert await _ask_until_answered(pool, within_s=15) == 42


async def test_a_caller_that_gives_up_on_a_stopped_server_is_let_go(
    own_postgres: OwnPostgres, pool: Pool
) -> None:
    own_postgres.pause()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await _ask(pool)
    assert time.monotonic() - began < 8
    own_postgres.resume()
    assert await _ask_until_answered(pool, within_s=15) == 42


async def test_a_cancelled_caller_ends_however_near_its_connection_was(pool: Pool) -> None:
    """asyncio.wait_for(), by which psycopg's pool waits, swallows such a cancellation in Python 3.11."""
    for steps in range(12):
        held = [await pool.getconn() for _ in range(4)]
        asking = asyncio.create_task(_ask(pool))
        while not pool.get_stats().get("requests_waiting"):
            await asyncio.sleep(0)
        await pool.putconn(held.pop())
        for _ in range(steps):
            await asyncio.sleep(0)
        if asking.cancel():
            await asyncio.wait([asking])
            assert asking.cancelled(), f"cancelled {steps} steps after its connection was there, it went on"
        for connection_held in held:
            await pool.putconn(connection_held)
        assert await _ask(pool) == 42


async def test_the_server_ends_a_statement_that_was_hung_up_on(own_postgres: OwnPostgres, pool: Pool) -> None:
    with pytest.raises(Unavailable):
        await _ask(pool, "SELECT pg_sleep(60)", deadline_s=0.2)
    deadline = time.monotonic() + 5
    with psycopg.connect(own_postgres.superuser, autocommit=True) as watcher:
        question = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
        while watcher.execute(question).fetchone() != (0,):
            assert time.monotonic() < deadline, "it runs on"
            await asyncio.sleep(0.05)


async def test_a_deadline_does_not_hit_the_next_borrower(pool: Pool) -> None:
    for _ in range(8):
        assert await _ask(pool, deadline_s=0.3) == 42
    assert await _ask(pool, "SELECT 42 FROM pg_sleep(.6)", deadline_s=2) == 42
