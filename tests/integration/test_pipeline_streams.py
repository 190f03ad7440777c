"""Commands over several streams at a real Postgres: racing writers, many assertions, many streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from adapters.postgres.access import Access
from adapters.postgres.snapshots import PostgresSnapshots
from commands.issue import Issue
from commands.pipeline import Pipeline
from commands.states import States
from domain.consistency import decode_token
from domain.errors import Expired, RevisionConflict
from domain.events import REGISTRY
from domain.log import PAGE_EVENTS, Metadata, Slice
from domain.track import events as e
from tests.servers.ledgers import Ledger, open_ledger
from tests.unit.commands.ensemble import CONDUCTOR, ENSEMBLE, HORN, VIOLIN, Play, Tune, player
from tests.unit.commands.house import ADA

pytestmark = pytest.mark.anyio

NOBODY = Metadata("user:nobody", UUID(int=1), None, UUID(int=1))


@pytest.fixture
async def ledger(database: Access) -> AsyncIterator[Ledger]:
    async with open_ledger(database.serving) as ledger:
        yield ledger


def process(ledger: Ledger) -> Pipeline:
    states = States(ledger.store, PostgresSnapshots(ledger.pool))
    return Pipeline(ledger.store, states, ENSEMBLE, lambda category, key: f"{category}-{key[-1]}")


async def streams_with(ledger: Ledger, events: int, count: int) -> list[UUID]:
    streams = [uuid4() for _ in range(count)]
    slices = [
        Slice(stream, 0, "track", str(stream), tuple(new_event(n) for n in range(events)))
        for stream in streams
    ]
    for first in range(0, count, 500):
        await ledger.store.append(slices[first : first + 500], NOBODY)
    return streams


def new_event(number: int):
    return REGISTRY.encode(e.TrackDescribed(f"title {number}"), uuid4())


async def test_no_piece_starts_on_a_count_that_a_racing_player_changed(ledger: Ledger):
    """Each title says how many events the players had when it was decided; the log says how many they had."""

    async def tuning(stream: UUID) -> None:
        for _ in range(40):
            await process(ledger).execute(Tune(player=stream), Issue(ADA))

    async def playing() -> None:
        for _ in range(40):
            try:
                await process(ledger).execute(Play(), Issue(ADA))
            except RevisionConflict:
                await asyncio.sleep(0)  # four lost races: the client tries again

    await asyncio.gather(tuning(VIOLIN), tuning(HORN), playing(), playing())
    players = started = 0
    for recorded in await ledger.store.read_log(0, PAGE_EVENTS):
        if recorded.stream == CONDUCTOR:
            started += 1
            assert recorded.data["title"] == f"a piece, {players}"
        else:
            players += 1
    assert players == 80
    assert started > 0


async def test_a_repeated_key_names_the_same_shards_at_every_process(ledger: Ledger):
    command = Play(together=True)
    key = UUID(int=5)
    first = await process(ledger).execute(command, Issue(ADA, command_id=key))
    await process(ledger).execute(Tune(player=HORN), Issue(ADA))
    again = await process(ledger).execute(command, Issue(ADA, command_id=key))
    assert decode_token(first.consistency_token) == {"track-5": 1, "track-6": 2, "track-7": 3}
    assert (again.consistency_token, again.revision, again.position) == (
        first.consistency_token,
        first.revision,
        first.position,
    )
    assert again.repeated


async def test_the_database_refuses_a_decision_after_its_time_limit(ledger: Ledger):
    past = datetime.now(UTC) - timedelta(seconds=5)
    with pytest.raises(Expired):
        await process(ledger).execute(Play(not_after=past), Issue(ADA))
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    assert (await process(ledger).execute(Play(not_after=ahead), Issue(ADA))).revision == 1


async def test_tails_of_many_streams_come_in_pages_in_the_order_of_the_log(ledger: Ledger):
    streams = await streams_with(ledger, 5, 120)
    after = dict.fromkeys(streams[:100], 2)
    found: list[tuple[UUID, int]] = []
    pages, more = 0, True
    while more:
        page = await ledger.store.read_streams(after, limit=70)
        positions = [recorded.position for recorded in page]
        assert positions == sorted(positions)
        assert len(page) <= 70
        for recorded in page:
            found.append((recorded.stream, recorded.revision))
            after[recorded.stream] = recorded.revision
        pages, more = pages + 1, page.more
    assert sorted(found) == sorted((stream, n) for stream in streams[:100] for n in (3, 4, 5))
    assert pages == 5


async def test_five_thousand_streams_are_loaded_and_asserted_by_one_command(ledger: Ledger):
    """bench/streams.py tells the cost."""
    players = tuple(await streams_with(ledger, 1, 5_000))
    states = States(ledger.store, PostgresSnapshots(ledger.pool))
    held = await states.load_all([player(stream) for stream in (CONDUCTOR, *players)])
    assert all(held[stream].revision == 1 for stream in players)
    pipeline = process(ledger)
    await pipeline.execute(Play(players=players, most=10_000), Issue(ADA), known=held)
    await pipeline.execute(Tune(player=players[4_321]), Issue(ADA))
    await pipeline.execute(Play(players=players, most=10_000), Issue(ADA), known=held)
    titles = [recorded.data["title"] for recorded in await ledger.store.read_stream(CONDUCTOR)]
    assert titles == ["a piece, 5000", "a piece, 5001"]
