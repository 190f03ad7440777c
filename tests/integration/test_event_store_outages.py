"""Whatever dies, every caller gets an answer in time, and all goes on without a restart."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.postgres import append_queue
from adapters.postgres.access import Access
from domain.errors import Busy, LedgerError, Unavailable
from domain.log import Appended
from tests.servers.ledger_clients import Clients, check_log
from tests.servers.ledgers import Ledger, a_key, a_slice, open_ledger, told_by, whole_log
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio

DEADLINE_S = 1.0


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep pytest from taking a flusher's death, which the test is about, for a failure of its own."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with capture_logs():
        yield


async def _append(ledger: Ledger) -> Appended:
    return await ledger.store.append([a_slice(uuid4(), 0)], told_by(), a_key())


async def _append_in_thread(ledger: Ledger) -> Appended:
    return await asyncio.to_thread(ledger.store.append_sync, [a_slice(uuid4(), 0)], told_by(), a_key())


async def _outcomes(ledger: Ledger, count: int = 100) -> list[Appended | BaseException]:
    """Append through both doors at once, every answer within the deadline."""
    began = time.monotonic()
    doors = [_append(ledger) for _ in range(count)] + [_append_in_thread(ledger) for _ in range(4)]
    answers = await asyncio.gather(*doors, return_exceptions=True)
    assert time.monotonic() - began < DEADLINE_S + 4
    return answers


async def _recovers(append: Callable[[], Awaitable[Appended]], within_s: float = 5.0) -> Appended:
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await append()
        except LedgerError as error:
            assert isinstance(error, Unavailable | Busy)
            assert time.monotonic() < deadline, "no recovery"


def _kill_flusher() -> None:
    for thread in threading.enumerate():
        if thread.name == "flusher" and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )


@pytest.mark.usefixtures("quiet")
async def test_a_flusher_killed_while_writing_is_replaced_and_loses_nothing(database: Access) -> None:
    """SystemExit strikes it wherever it is, forty times; each batch in flight is taken up again."""
    clients = Clients("flusher killed")
    async with open_ledger(database.serving, DEADLINE_S) as ledger:
        async with asyncio.TaskGroup() as group:
            for client in range(8):
                group.create_task(clients.run(ledger.store.append, client, range(1, 101)))
            for _ in range(40):
                await asyncio.sleep(0.02)
                _kill_flusher()
        check_log(await whole_log(ledger.store), clients.acknowledged)
        assert len(clients.acknowledged) == 800


@pytest.mark.usefixtures("quiet")
async def test_a_flusher_that_is_gone_for_good_is_started_again_by_the_next_append(
    database: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when its own supervision failed: the one caller of then is told Unavailable in time."""
    async with open_ledger(database.serving, DEADLINE_S) as ledger:
        await _append(ledger)
        with monkeypatch.context() as broken:
            broken.setattr(append_queue.AppendQueue, "_flush", _exit)
            broken.setattr(append_queue.log, "exception", _exit)
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await _append(ledger)
            assert time.monotonic() - began < DEADLINE_S + 4
        assert (await _append(ledger)).position >= 2


def _exit(*_: object, **__: object) -> None:
    raise SystemExit


async def test_postgres_killed_while_writing(own_postgres: OwnPostgres) -> None:
    """Callers meanwhile are told Unavailable in time; afterwards the same process goes on."""
    async with open_ledger(own_postgres.serving, DEADLINE_S) as ledger:
        await _append(ledger)
        own_postgres.kill()
        assert {type(answer) for answer in await _outcomes(ledger)} == {Unavailable}
        own_postgres.start()
        await _recovers(lambda: _append(ledger))
        assert {type(answer) for answer in await _outcomes(ledger)} == {Appended}
        positions = [event.position for event in await whole_log(ledger.store)]
        assert positions == list(range(1, len(positions) + 1))


async def test_a_restart_of_postgres_costs_no_caller_an_error(own_postgres: OwnPostgres) -> None:
    """The batch on the wire is sent again, and finds itself where the first one was committed."""
    clients = Clients("restart")
    async with open_ledger(own_postgres.serving, 10.0) as ledger:
        async with asyncio.TaskGroup() as group:
            for client in range(8):
                group.create_task(clients.run(ledger.store.append, client, range(1, 151)))
            for _ in range(3):
                await asyncio.sleep(0.1)
                own_postgres.kill()
                own_postgres.start()
        assert clients.outages == 0
        check_log(await whole_log(ledger.store), clients.acknowledged)


@pytest.mark.parametrize("stopped_s", [5, pytest.param(60, marks=pytest.mark.soak)])
async def test_postgres_stopped(own_postgres: OwnPostgres, stopped_s: int) -> None:
    """SIGSTOP: connections stay open and nothing answers; SIGCONT: writing goes on."""
    async with open_ledger(own_postgres.serving, DEADLINE_S) as ledger:
        await _append(ledger)
        own_postgres.pause()
        began = time.monotonic()
        while time.monotonic() - began < stopped_s:
            assert {type(answer) for answer in await _outcomes(ledger)} == {Unavailable}
        own_postgres.resume()
        await _recovers(lambda: _append(ledger))
        assert {type(answer) for answer in await _outcomes(ledger)} == {Appended}
        positions = [event.position for event in await whole_log(ledger.store)]
        assert positions == list(range(1, len(positions) + 1))


async def test_a_connection_that_is_silent_for_long_is_given_up(
    own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the flusher's backend stops, as when its host is gone: work goes on over another connection."""
    monkeypatch.setattr(append_queue, "STUCK_S", 0.5)
    async with open_ledger(own_postgres.serving, DEADLINE_S) as ledger:
        await _append(ledger)
        with psycopg.connect(own_postgres.superuser) as watcher:
            question = "SELECT pid FROM pg_stat_activity WHERE application_name = 'beatledger append'"
            [(backend,)] = watcher.execute(question).fetchall()
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable):
                await _append(ledger)
            await _recovers(lambda: _append(ledger))
        finally:
            os.kill(backend, signal.SIGCONT)


async def test_a_full_queue_answers_busy_at_once(
    own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append_queue, "CAPACITY", 50)
    async with open_ledger(own_postgres.serving, DEADLINE_S) as ledger:
        await _append(ledger)
        own_postgres.pause()
        answers = await _outcomes(ledger)
        assert {type(answer) for answer in answers} == {Unavailable, Busy}
        own_postgres.resume()
        await _recovers(lambda: _append(ledger))
        head = await ledger.store.head()
        busy = sum(isinstance(answer, Busy) for answer in answers)
        assert head <= 2 + len(answers) - busy, "an append that was told Busy is there"


async def test_closing_writes_what_is_queued_and_refuses_what_comes_later(database: Access) -> None:
    async with open_ledger(database.serving) as ledger:
        appends = [asyncio.create_task(_append(ledger)) for _ in range(200)]
        await asyncio.sleep(0)
        await asyncio.to_thread(ledger.queue.close)
        assert {type(await append) for append in appends} == {Appended}
        with pytest.raises(Unavailable):
            await _append(ledger)
        assert await ledger.store.head() == 200


async def test_closing_answers_everybody_even_when_postgres_does_not(own_postgres: OwnPostgres) -> None:
    async with open_ledger(own_postgres.serving, deadline_s=60) as ledger:
        await _append(ledger)
        own_postgres.pause()
        appends = [asyncio.create_task(_append(ledger)) for _ in range(200)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await asyncio.to_thread(ledger.queue.close, 0.5)
        answers = await asyncio.gather(*appends, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert time.monotonic() - began < 20, "it waited for their deadline"


async def test_a_caller_that_goes_away_disturbs_nobody(database: Access) -> None:
    async with open_ledger(database.serving) as ledger:
        appends = [asyncio.create_task(_append(ledger)) for _ in range(100)]
        await asyncio.sleep(0)
        for append in appends[::2]:
            append.cancel()
        answers = await asyncio.gather(*appends, return_exceptions=True)
        assert {type(answer) for answer in answers[1::2]} == {Appended}
        positions = [event.position for event in await ledger.store.read_log()]
        assert positions == list(range(1, len(positions) + 1))


async def test_somebody_who_holds_the_append_lock_by_hand_is_an_outage_not_a_standstill(
    database: Access,
) -> None:
    async with open_ledger(database.serving, DEADLINE_S) as ledger:
        first = await _append(ledger)
        with psycopg.connect(database.superuser) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(4702111234474983745)")
            with pytest.raises(Unavailable):
                await _append(ledger)
        again = await _recovers(lambda: _append(ledger))
        assert first.recorded_at is not None
        assert again.recorded_at is not None
        assert again.recorded_at - first.recorded_at > timedelta(seconds=DEADLINE_S)
