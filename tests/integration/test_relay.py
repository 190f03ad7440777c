"""The relay: the whole log is in Kafka, in order, whoever is killed, frozen or away meanwhile."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from uuid import uuid4

import psycopg
import pytest

from adapters.kafka.cloud_events import LogPosition, Row
from adapters.kafka.layout import load_layout
from adapters.kafka.relay import CHUNK, Relay
from adapters.kafka.relay_session import CHUNK_BYTES, relay_session
from adapters.kafka.relay_standing import relay_standing
from adapters.postgres.access import Access
from app.readiness import relay_ready
from domain.errors import Unavailable
from domain.log import MAX_EVENT_BYTES, Slice
from tests.servers.kafka import Broker
from tests.servers.ledger_clients import Clients
from tests.servers.ledgers import Ledger, a_slice, an_event, open_ledger, told_by
from tests.servers.postgres import OwnPostgres, TestServer
from tests.servers.relays import (
    holds_the_log,
    make_topics,
    records_in,
    relayed,
    relaying,
    start_relay,
)

pytestmark = pytest.mark.anyio

ROUNDS = [pytest.param(3, id="three rounds"), pytest.param(30, id="thirty rounds", marks=pytest.mark.soak)]


async def test_an_event_is_a_cloud_event_in_binary_mode(database: Access, kafka: str) -> None:
    """Every attribute of it, and no other; between the events stand markers, which are none."""
    namespace = make_topics(database, kafka)
    async with open_ledger(database.serving) as ledger, relaying(database.serving, kafka):
        stream, metadata = uuid4(), told_by("user:ö")
        await ledger.store.append([a_slice(stream, 0, 1)], metadata)
        await relayed(ledger)
        [event] = await ledger.store.read_log()
        layout = await load_layout(ledger.pool)
        found = await asyncio.to_thread(records_in, kafka, layout)
    partition = layout.partition_of("track", str(stream))
    assert partition.topic == f"{namespace}.track"
    [record, marker] = found.pop(partition)
    assert (record.key, record.value) == (str(stream).encode(), b'{"n":1}')
    at = event.recorded_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert dict(record.headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": str(event.event_id).encode(),
        "ce_source": f"/{namespace}".encode(),
        "ce_type": b"track.described",
        "ce_subject": str(stream).encode(),
        "ce_time": at.encode(),
        "ce_schemaversion": b"1",
        "ce_position": b"1",
        "ce_revision": b"1",
        "ce_category": b"track",
        "ce_actor": "user:ö".encode(),
        "ce_commandid": str(metadata.command_id).encode(),
        "ce_correlationid": str(metadata.correlation_id).encode(),
        "ce_traceparent": b"00-4bf92f35-00f067aa-01",
    }
    for quiet in [[marker], *found.values()]:
        assert [dict(record.headers) for record in quiet] == [
            {"beatledger_reached": b"1", "beatledger_event": str(event.event_id).encode()}
        ]
        assert quiet[0].key and quiet[0].value, "compaction refuses null keys and forgets null values"


@asynccontextmanager
async def _writing(ledger: Ledger, seed: str, clients: int = 8) -> AsyncIterator[Clients]:
    """Write around a block, as clients do, also while Postgres is away."""
    told, stop = Clients(seed), asyncio.Event()

    async def write(client: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await told.run(ledger.store.append, client, [number])
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for client in range(clients):
            group.create_task(write(client))
        yield told
        stop.set()


@asynccontextmanager
async def _checkpoint_watched(ledger: Ledger) -> AsyncIterator[Callable[[], int]]:
    """Assert around a block that the checkpoint never goes back; gives where it stands."""
    seen = [0]

    async def watch() -> None:
        while True:
            try:
                position = (await relay_standing(ledger.pool)).position
            except Unavailable:
                continue
            assert position >= seen[0], "the checkpoint went back"
            seen[0] = position
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield lambda: seen[0]
    finally:
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def _moves(position: Callable[[], int], by: int = 20, within_s: float = 60) -> None:
    wanted = position() + by
    async with asyncio.timeout(within_s):
        while position() < wanted:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_a_relay_that_is_killed_leaves_no_gap(database: Access, kafka: str, rounds: int) -> None:
    """Two at work, under load, at seeded moments: the one that leads is killed, the other goes on."""
    make_topics(database, kafka)
    dice = Random(rounds)
    async with (
        open_ledger(database.serving) as ledger,
        _checkpoint_watched(ledger) as position,
        _writing(ledger, "killed"),
    ):
        relays = [await start_relay(database.serving, kafka)]
        await _moves(position)
        for _ in range(rounds):
            relays.append(await start_relay(database.serving, kafka))
            await _moves(position)
            await asyncio.sleep(dice.random())
            leader = relays.pop(0)
            leader.kill()
            await leader.wait()
            await _moves(position)
        for relay in relays:
            relay.terminate()
            await relay.wait()
    async with open_ledger(database.serving) as ledger:
        async with relaying(database.serving, kafka):
            await relayed(ledger)
        await holds_the_log(ledger, kafka)


async def test_a_leader_that_was_frozen_does_no_harm_when_it_wakes(database: Access, kafka: str) -> None:
    """The server ends its session, another leads, and it stands by from then on."""
    make_topics(database, kafka)
    async with open_ledger(database.serving) as ledger:
        async with _checkpoint_watched(ledger) as position, _writing(ledger, "frozen"):
            frozen = await start_relay(database.serving, kafka)
            try:
                await _moves(position)
                frozen.send_signal(signal.SIGSTOP)
                async with relaying(database.serving, kafka) as other:
                    await _moves(position)
                    assert other.leading
                    frozen.send_signal(signal.SIGCONT)
                    await _moves(position, 50)
                    assert other.leading
                # Once the other is gone, it is the one that leads.
                await _moves(position)
            finally:
                frozen.kill()
                await frozen.wait()
        async with relaying(database.serving, kafka):
            await relayed(ledger)
        await holds_the_log(ledger, kafka)


async def test_a_relay_that_is_told_to_stop_hands_over_at_once(database: Access, kafka: str) -> None:
    """Nothing is repeated, and the lead is free."""
    make_topics(database, kafka)
    async with open_ledger(database.serving) as ledger:
        for round_ in range(1, 4):
            async with relaying(database.serving, kafka):
                await ledger.store.append([a_slice(uuid4(), 0, 50)], told_by())
                async with asyncio.timeout(20):
                    while (await relay_standing(ledger.pool)).position < 50 * (round_ - 1) + 1:
                        await asyncio.sleep(0.002)
        async with relaying(database.serving, kafka):
            await relayed(ledger)
        assert await holds_the_log(ledger, kafka) == 0


async def test_a_relay_refuses_to_lead_after_a_restore_until_it_gets_other_topics(
    database: Access, postgres: TestServer, kafka: str
) -> None:
    """An older copy gives positions again that consumers have seen; also once it has grown beyond them."""
    make_topics(database, kafka)
    async with open_ledger(database.serving) as ledger, relaying(database.serving, kafka):
        await ledger.store.append([a_slice(uuid4(), 0, 5)], told_by())
        await relayed(ledger)
    with postgres.database() as older:
        _copy_layout(database, older)
        async with open_ledger(older.serving) as ledger, relaying(older.serving, kafka) as relay:
            ready = relay_ready(ledger.pool, relay)["relay"]
            await _refuses(relay, "is at position 5, the event store ends at 0.*Restore")
            with pytest.raises(Unavailable, match="another history"):
                await ready()
            await ledger.store.append([a_slice(uuid4(), 0, 8)], told_by())
            await _refuses(relay, "at position 5, the event store another one.*Restore")
            make_topics(older, kafka)
            await relayed(ledger)
            assert (await ready()).startswith("leads at position 8")
            await holds_the_log(ledger, kafka)


def _copy_layout(source: Access, target: Access) -> None:
    """Make a database the copy of another one that was taken right after `beatledger migrate`."""
    with psycopg.connect(source.owner) as here, psycopg.connect(target.owner) as there:
        columns = "subject, name, partitions, topic_id, cluster_id"
        for row in here.execute(f"SELECT {columns} FROM kafka_topics").fetchall():  # type: ignore[arg-type]
            there.execute(f"INSERT INTO kafka_topics ({columns}) VALUES (%s, %s, %s, %s, %s)", row)  # type: ignore[arg-type]


async def _refuses(relay: Relay, why: str) -> None:
    async with asyncio.timeout(60):
        while not re.search(why, relay.refused or ""):
            await asyncio.sleep(0.01)
    assert not relay.leading


async def test_a_chunk_of_large_events_is_small_and_one_of_small_events_is_whole(database: Access) -> None:
    """Its bytes are bounded as its number is, and nothing is left out between two reads."""
    async with open_ledger(database.serving) as ledger, relay_session(database.serving) as session:
        for _ in range(3):
            large = tuple(an_event("x" * 480_000) for _ in range(8))
            await ledger.store.append([Slice(uuid4(), 0, "track", "key", large)], told_by())
        await ledger.store.append([a_slice(uuid4(), 0, 400)], told_by())
        place, chunks = LogPosition(0, None), list[list[Row]]()
        while (chunk := await session.read(place, CHUNK))[0]:
            chunks.append(chunk[0])
            place = chunk[1]
        assert [row[0] for rows in chunks for row in rows] == list(range(1, 425))
    sizes = [sum(len(row[8]) for row in rows) for rows in chunks]
    assert max(sizes) < CHUNK_BYTES + MAX_EVENT_BYTES
    assert [len(rows) for rows in chunks] == [9, 9, 406]


async def test_the_relay_outlives_kafka_and_postgres(own_postgres: OwnPostgres, own_kafka: Broker) -> None:
    """Each is killed and started again under load, once Kafka is frozen; nobody restarts the relay."""
    make_topics(own_postgres, own_kafka.bootstrap)
    async with (
        open_ledger(own_postgres.serving, deadline_s=1.0) as ledger,
        relaying(own_postgres.serving, own_kafka.bootstrap) as relay,
    ):
        async with _checkpoint_watched(ledger) as position, _writing(ledger, "outlives", clients=4):
            await _moves(position)
            own_kafka.kill()
            await asyncio.sleep(1.0)
            await asyncio.to_thread(own_kafka.start)
            await _moves(position)
            own_postgres.kill()
            await asyncio.sleep(0.3)
            own_postgres.start()
            await _moves(position)
            own_kafka.pause()
            await asyncio.sleep(1.0)
            own_kafka.resume()
            await _moves(position)
        await relayed(ledger)
        assert relay.leading
        await holds_the_log(ledger, own_kafka.bootstrap)
