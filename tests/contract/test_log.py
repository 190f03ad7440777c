"""The log port: what consumers may rely on, whichever adapter stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from adapters.postgres.access import Access
from domain.errors import NotFound
from domain.log import PAGE_BYTES, Batch, Slice
from domain.recorded import Recorded
from tests.servers.ledgers import Ledger, a_slice, an_event, open_ledger, told_by, whole_log
from tests.servers.relays import make_topics, open_log, relayed, relaying

pytestmark = pytest.mark.anyio


WITHIN_S = 20


@pytest.fixture(params=["postgres", "kafka"])
async def ledger(database: Access, request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    if request.param == "postgres":
        async with open_ledger(database.serving) as ledger:
            yield ledger
        return
    bootstrap = request.getfixturevalue("kafka")
    make_topics(database, bootstrap)
    async with open_ledger(database.serving) as ledger, relaying(database.serving, bootstrap):
        yield replace(ledger, log=await open_log(ledger, bootstrap))


async def _write(ledger: Ledger, category: str = "track", count: int = 1, stream: UUID | None = None) -> UUID:
    stream = stream or uuid4()
    revision = len(await ledger.store.read_stream(stream))
    await ledger.store.append([a_slice(stream, revision, count, category)], told_by())
    return stream


async def _start(ledger: Ledger, group: str = "view", categories: Sequence[str] = ("track",)) -> None:
    """Start a group at the beginning of the log."""
    origin = dict.fromkeys(await ledger.log.end_offsets(categories), 0)
    await ledger.log.start_group(group, origin)


async def _next_events(batches: AsyncIterator[Batch], count: int) -> list[Recorded]:
    seen: list[Recorded] = []
    async with asyncio.timeout(WITHIN_S):
        while len(seen) < count:
            seen += (await anext(batches)).events
    assert len(seen) == count
    return seen


async def test_a_group_sees_the_events_of_its_categories_in_order(ledger: Ledger) -> None:
    """What was there before and what comes while it waits."""
    await _start(ledger)
    track = await _write(ledger, "track", 3)
    await _write(ledger, "device", 2)
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        batches = aiter(subscription)
        assert [e.revision for e in await _next_events(batches, 3)] == [1, 2, 3]
        waiting = asyncio.create_task(_next_events(batches, 2))
        await _write(ledger, "lease", 1)
        await _write(ledger, "track", 2, track)
        assert [e.revision for e in await waiting] == [4, 5]


async def test_an_event_is_the_same_as_in_history(ledger: Ledger) -> None:
    await _start(ledger)
    stream = await _write(ledger, count=2)
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        assert await _next_events(aiter(subscription), 2) == await ledger.store.read_stream(stream)


async def test_what_was_not_committed_comes_again(ledger: Ledger) -> None:
    """Also when the subscription ended in the middle of things."""
    await _start(ledger)
    await _write(ledger, count=5)
    for _ in range(2):
        async with ledger.log.subscribe("view", ["track"], limit=2) as subscription:
            assert (await anext(aiter(subscription))).events[0].revision == 1
    async with ledger.log.subscribe("view", ["track"], limit=2) as subscription:
        batches, shown = aiter(subscription), list[int]()
        async with asyncio.timeout(WITHIN_S):
            while len(shown) < 3:
                shown += [e.revision for e in (await anext(batches)).events]
            await subscription.commit()
            await anext(batches)
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        rest = [1, 2, 3, 4, 5][len(shown) :]
        assert [e.revision for e in await _next_events(aiter(subscription), len(rest))] == rest


async def test_large_events_come_a_few_at_a_time(ledger: Ledger) -> None:
    """A page of history and a batch are bounded by bytes, whatever number was asked for; nothing is lost."""
    await _start(ledger)
    large, stream = 400_000, uuid4()
    for revision in range(12):
        event = an_event({"title": "x" * large, "n": revision})
        await ledger.store.append([Slice(stream, revision, "track", str(stream), (event,))], told_by())
    revisions = list(range(1, 13))

    def bounded(page: Sequence[Recorded]) -> bool:
        return 0 < len(page) * large <= PAGE_BYTES

    history = await ledger.store.read_stream(stream)
    assert bounded(history)
    assert history.more
    assert not (await ledger.store.read_stream(stream, 9)).more
    assert bounded(await ledger.store.read_log())
    assert [e.revision for e in await whole_log(ledger.store)] == revisions

    shown, seen = 0, list[int]()
    async with asyncio.timeout(WITHIN_S), ledger.log.subscribe("view", ["track"]) as subscription:
        async for batch in subscription:
            assert bounded(batch.events) or not batch.events
            seen += [e.revision for e in batch.events]
            if len(seen) < 6:
                await subscription.commit()
                shown = len(seen)
            if len(seen) >= 12:
                break
    assert seen == revisions
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        again = await _next_events(aiter(subscription), 12 - shown)
    assert [e.revision for e in again] == revisions[shown:], "what waited was not committed"


async def test_a_batch_holds_at_most_its_limit_and_never_waits_to_fill(ledger: Ledger) -> None:
    """The last ones come, though they fill none."""
    await _start(ledger)
    await _write(ledger, count=50)
    async with ledger.log.subscribe("view", ["track"], limit=20) as subscription:
        batches, sizes = aiter(subscription), list[int]()
        async with asyncio.timeout(WITHIN_S):
            while sum(sizes) < 50:
                sizes.append(len((await anext(batches)).events))
    assert max(sizes) == 20
    assert sum(sizes) == 50


async def test_reached_moves_past_what_others_subscribe_to(ledger: Ledger) -> None:
    """A reader of devices knows that no track event ahead of it is one of its own, on every shard."""
    await _start(ledger, categories=["device"])
    await _write(ledger, "track", 7)
    shards = set(await ledger.log.end_offsets(["device"]))
    reached = dict.fromkeys(shards, 0)
    async with ledger.log.subscribe("view", ["device"], limit=2) as subscription:
        batches = aiter(subscription)
        async with asyncio.timeout(WITHIN_S):
            while set(reached.values()) != {7}:
                batch = await anext(batches)
                assert batch.events == ()
                reached |= batch.reached
            device = await _write(ledger, "device", 1)
            shard = ledger.log.shard_of("device", str(device))
            await _write(ledger, "track", 2)
            while not (batch := await anext(batches)).events:
                assert batch.reached.keys() <= shards
            assert [e.position for e in batch.events] == [8]
            assert batch.reached[shard] in (8, 9, 10)


async def test_reached_is_never_ahead_of_what_was_shown_and_never_goes_back(ledger: Ledger) -> None:
    """On each shard by itself."""
    await _start(ledger)
    for _ in range(10):
        await _write(ledger, "track", 2)
        await _write(ledger, "device", 1)
    tracks = await ledger.store.read_log(categories=["track"])
    shards = {e.position: ledger.log.shard_of(e.category, e.partition_key) for e in tracks}
    shown, reached = set[int](), dict.fromkeys(await ledger.log.end_offsets(["track"]), 0)
    async with asyncio.timeout(WITHIN_S), ledger.log.subscribe("view", ["track"], limit=3) as subscription:
        async for batch in subscription:
            shown |= {event.position for event in batch.events}
            for shard, position in batch.reached.items():
                assert position >= reached[shard]
                assert {p for p, s in shards.items() if s == shard and p <= position} <= shown
            reached |= batch.reached
            assert {shard: reached[shard] for shard in subscription.reached} == subscription.reached
            if set(reached.values()) == {30}:
                assert subscription.reached == reached, "one member alone reads every shard"
                break
    assert shown == shards.keys()


async def test_groups_do_not_share_their_progress(ledger: Ledger) -> None:
    await _start(ledger, "one")
    await _start(ledger, "two")
    await _write(ledger, count=3)
    for group in ("one", "two"):
        async with ledger.log.subscribe(group, ["track"]) as subscription:
            assert len(await _next_events(aiter(subscription), 3)) == 3
            await subscription.commit()


async def test_a_group_can_start_at_the_end(ledger: Ledger) -> None:
    await _write(ledger, count=3)
    if ledger.log.shard_of("track", "any") != "0":
        await relayed(ledger)
    await ledger.log.start_group("view", await ledger.log.end_offsets(["track"]))
    later = await _write(ledger)
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        assert [e.stream for e in await _next_events(aiter(subscription), 1)] == [later]


async def test_a_group_started_anew_begins_there_whatever_its_old_members_do(ledger: Ledger) -> None:
    """An old member that is still at work can't push the new ones past what they haven't seen."""
    await _start(ledger)
    await _write(ledger, count=4)
    async with ledger.log.subscribe("view", ["track"]) as old:
        await _next_events(aiter(old), 4)
        await _start(ledger)
        with pytest.raises(NotFound):
            await old.commit()
    async with ledger.log.subscribe("view", ["track"]) as new:
        assert [e.revision for e in await _next_events(aiter(new), 4)] == [1, 2, 3, 4]


async def test_a_group_exists_once_it_was_started(ledger: Ledger) -> None:
    assert not await ledger.log.group_exists("view")
    with pytest.raises(NotFound):
        async with ledger.log.subscribe("view", ["track"]):
            pass
    await _start(ledger)
    assert await ledger.log.group_exists("view")


async def test_a_commit_of_nothing_new_is_harmless(ledger: Ledger) -> None:
    await _start(ledger)
    async with ledger.log.subscribe("view", ["track"]) as subscription:
        await subscription.commit()
        await _write(ledger)
        await _next_events(aiter(subscription), 1)
        await subscription.commit()
        await subscription.commit()
