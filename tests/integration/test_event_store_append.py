"""What an append promises: all or nothing, at the expected revision, once, within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres.access import Access
from domain.errors import EventTooLarge, Expired, Invalid, KeyReused, RevisionConflict
from domain.log import MAX_EVENT_BYTES, NewEvent, Slice
from tests.servers.ledgers import Ledger, a_key, a_slice, an_event, events, open_ledger, told_by

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(database: Access) -> AsyncIterator[Ledger]:
    async with open_ledger(database.serving) as ledger:
        yield ledger


async def test_an_event_reads_back_as_it_was_told(ledger: Ledger) -> None:
    """Every column of Recorded survives, in the database's clock and order."""
    stream, metadata = uuid4(), told_by()
    event = an_event({"title": "Für Elise", "tags": ["a"], "bpm": 120.5})
    appended = await ledger.store.append([Slice(stream, 0, "track", "key", (event,))], metadata)
    [recorded] = await ledger.store.read_stream(stream)
    assert (recorded.position, recorded.stream, recorded.revision) == (appended.position, stream, 1)
    assert (recorded.category, recorded.partition_key) == ("track", "key")
    assert (recorded.event_id, recorded.type, recorded.schema_version) == (event.event_id, event.type, 1)
    assert recorded.data == {"title": "Für Elise", "tags": ["a"], "bpm": 120.5}
    assert recorded.recorded_at == appended.recorded_at
    assert recorded.recorded_at.utcoffset() == timedelta(0)
    assert recorded.actor == metadata.actor
    assert recorded.correlation_id == metadata.correlation_id
    assert recorded.causation_id is None
    assert recorded.command_id == metadata.command_id
    assert recorded.traceparent == metadata.traceparent


async def test_times_are_utc_wherever_the_servers_operator_lives(database: Access) -> None:
    with psycopg.connect(database.superuser, autocommit=True) as superuser:
        name = superuser.info.dbname
        superuser.execute(
            f"ALTER ROLE beatledger_app IN DATABASE {name} SET timezone = 'Asia/Tokyo'".encode()
        )
    async with open_ledger(database.serving) as ledger:
        appended = await ledger.store.append([a_slice(uuid4(), 0)], told_by())
        [recorded] = await ledger.store.read_log()
    assert appended.recorded_at is not None
    assert appended.recorded_at.isoformat() == recorded.recorded_at.isoformat()
    assert recorded.recorded_at.isoformat().endswith("+00:00")


async def test_an_append_answers_with_its_end_and_the_first_streams_revision(
    ledger: Ledger,
) -> None:
    """Whether that stream was written or asserted."""
    track, device = uuid4(), uuid4()
    slices = [
        a_slice(track, 0, 2),
        a_slice(device, 0, 0, "device"),
        a_slice(device_two := uuid4(), 0, 3, "device"),
    ]
    appended = await ledger.store.append(slices, told_by())
    assert (appended.position, appended.revision, appended.repeated) == (5, 2, None)
    assert [event.position for event in await ledger.store.read_stream(device_two)] == [3, 4, 5]
    assert await ledger.store.head() == 5
    asserting = [a_slice(track, 2, 0), a_slice(device, 0, 1, "device")]
    assert (await ledger.store.append(asserting, told_by())).revision == 2


async def test_an_append_at_another_revision_is_refused_with_the_actual_one(ledger: Ledger) -> None:
    stream = uuid4()
    await ledger.store.append([a_slice(stream, 0, 3)], told_by())
    for expected in (0, 2, 4):
        with pytest.raises(RevisionConflict) as refused:
            await ledger.store.append([a_slice(stream, expected)], told_by())
        assert (refused.value.stream, refused.value.actual) == (stream, 3)
    assert await ledger.store.head() == 3


async def test_slices_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    """One stale slice, or one stale assertion, keeps the others out."""
    old, new = uuid4(), uuid4()
    await ledger.store.append([a_slice(old, 0, 2)], told_by())
    for stale in (a_slice(old, 1), a_slice(old, 1, 0), a_slice(old, 0, 0)):
        with pytest.raises(RevisionConflict):
            await ledger.store.append([a_slice(new, 0, 2), stale], told_by())
    await ledger.store.append([a_slice(new, 0, 2), a_slice(old, 2, 0)], told_by())
    assert await ledger.store.head() == 4


async def test_an_append_after_its_time_is_refused(ledger: Ledger) -> None:
    """The limit holds against the database's clock, and against the last event's time where that is later."""
    stream = uuid4()
    with pytest.raises(Expired):
        await ledger.store.append([a_slice(stream, 0)], told_by(), not_after=datetime(2020, 1, 1, tzinfo=UTC))
    later = datetime.now(UTC) + timedelta(minutes=1)
    appended = await ledger.store.append([a_slice(stream, 0)], told_by(), not_after=later)
    assert appended.position == 1


async def test_recorded_times_never_go_back_even_if_the_clock_does(ledger: Ledger, database: Access) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with psycopg.connect(database.owner) as owner:
        owner.execute(
            "INSERT INTO stored_events"
            " (originator_id, originator_version, notification_id, recorded_at, topic, state)"
            " VALUES (%s, 1, 1, %s, 'x', '')",
            [uuid4(), ahead],
        )
    appended = await ledger.store.append([a_slice(uuid4(), 0)], told_by())
    assert (appended.position, appended.recorded_at) == (2, ahead)
    with pytest.raises(Expired):
        limit = ahead - timedelta(minutes=1)
        await ledger.store.append([a_slice(uuid4(), 0)], told_by(), not_after=limit)


async def test_a_clock_behind_the_log_says_by_how_much_and_accepts_no_time_limit(
    ledger: Ledger, database: Access
) -> None:
    """The clock cannot tell whether the limit has passed, however far ahead the limit is."""
    assert (await ledger.store.clock()).behind_s == 0.0
    with psycopg.connect(database.owner) as owner:
        owner.execute(
            "INSERT INTO stored_events"
            " (originator_id, originator_version, notification_id, recorded_at, topic, state)"
            " VALUES (%s, 1, 1, clock_timestamp() + interval '3 days', 'x', '')",
            [uuid4()],
        )
    with pytest.raises(Expired, match="clock is behind the log"):
        later = datetime.now(UTC) + timedelta(days=30)
        await ledger.store.append([a_slice(uuid4(), 0)], told_by(), not_after=later)
    assert (await ledger.store.append([a_slice(uuid4(), 0)], told_by())).position == 2
    clock = await ledger.store.clock()
    assert clock.behind_s == pytest.approx(3 * 86_400, abs=60)
    assert "clock is 2 days, 23:59" in str(clock) or "clock is 3 days" in str(clock)


async def test_a_repeated_command_key_gives_the_first_answer(ledger: Ledger) -> None:
    key, stream = a_key(), uuid4()
    first = await ledger.store.append([a_slice(stream, 0, 2)], told_by(), key)
    again = await ledger.store.append([a_slice(stream, 0, 2)], told_by(), key)
    assert again.repeated is not None
    assert (again.position, again.revision) == (first.position, first.revision) == (2, 2)
    assert again.repeated == await ledger.store.find_answer(key.command_id)
    assert (again.repeated.status, again.repeated.body, again.repeated.fingerprint) == (
        202,
        {"track_id": "t", "title": "\0 and ü"},
        b"the command",
    )
    assert await ledger.store.head() == 2


async def test_a_command_key_with_another_fingerprint_is_refused(ledger: Ledger) -> None:
    key = a_key()
    await ledger.store.append([a_slice(uuid4(), 0)], told_by(), key)
    with pytest.raises(KeyReused):
        await ledger.store.append([a_slice(uuid4(), 0)], told_by(), a_key(key.command_id, b"another"))
    assert await ledger.store.head() == 1


async def test_an_unused_key_has_no_answer(ledger: Ledger) -> None:
    assert await ledger.store.find_answer(uuid4()) is None


async def test_a_refused_append_leaves_its_key_unused(ledger: Ledger) -> None:
    key, stream = a_key(), uuid4()
    with pytest.raises(RevisionConflict):
        await ledger.store.append([a_slice(stream, 7)], told_by(), key)
    assert await ledger.store.find_answer(key.command_id) is None
    appended = await ledger.store.append([a_slice(stream, 0)], told_by(), key)
    assert appended.repeated is None


async def test_a_command_without_events_keeps_its_answer_too(ledger: Ledger) -> None:
    key, stream = a_key(), uuid4()
    await ledger.store.append([a_slice(stream, 0, 2)], told_by())
    first = await ledger.store.append([a_slice(stream, 2, 0)], told_by(), key)
    again = await ledger.store.append([a_slice(stream, 2, 0)], told_by(), key)
    assert (first.position, first.revision, first.recorded_at) == (2, 2, None)
    assert again.repeated is not None
    assert (again.position, again.revision) == (2, 2)


async def test_the_same_command_twice_at_once_appends_once(database: Access) -> None:
    """From one process, where they queue up, and from two, where the database's lock decides."""
    async with open_ledger(database.serving) as one, open_ledger(database.serving) as two:
        for _ in range(20):
            key = a_key()
            before = await one.store.head()
            answers = await asyncio.gather(
                *(
                    ledger.store.append([a_slice(uuid4(), 0)], told_by(), key)
                    for ledger in (one, one, two, two)
                )
            )
            assert [answer.repeated is None for answer in answers].count(True) == 1
            assert {answer.position for answer in answers} == {before + 1}
            assert await one.store.head() == before + 1


async def test_an_append_tried_again_with_its_event_ids_finds_itself(ledger: Ledger) -> None:
    """A caller told Unavailable sends the same events; even when the stream has gone on since."""
    stream, other = uuid4(), uuid4()
    slices = [a_slice(stream, 0, 2), a_slice(other, 0, 0), a_slice(third := uuid4(), 0, 3)]
    first = await ledger.store.append(slices, told_by())
    await ledger.store.append([a_slice(stream, 2), a_slice(other, 0), a_slice(third, 3)], told_by())
    expired = datetime(2020, 1, 1, tzinfo=UTC)
    again = await ledger.store.append(slices, told_by(), not_after=expired)
    assert (again.position, again.revision, again.recorded_at) == (5, 2, first.recorded_at)
    assert await ledger.store.head() == 8


async def test_the_bad_appends_of_a_batch_fail_alone(ledger: Ledger) -> None:
    """All are queued at once, so they share batches; each gets its own answer and its neighbours land."""
    used, stale, good = a_key(), uuid4(), [uuid4() for _ in range(50)]
    await ledger.store.append([a_slice(stale, 0, 2)], told_by(), used)
    doubled = uuid4()
    bad = {
        RevisionConflict: ledger.store.append([a_slice(stale, 1)], told_by()),
        KeyReused: ledger.store.append([a_slice(uuid4(), 0)], told_by(), a_key(used.command_id, b"other")),
        EventTooLarge: ledger.store.append(
            [Slice(uuid4(), 0, "track", "k", (an_event("x" * MAX_EVENT_BYTES),))], told_by()
        ),
        "nul in data": ledger.store.append(
            [Slice(uuid4(), 0, "track", "k", (an_event({"title": "a\0b"}),))], told_by()
        ),
        "nul in metadata": ledger.store.append([a_slice(uuid4(), 0)], told_by("user:\0")),
        "half a surrogate pair": ledger.store.append([a_slice(uuid4(), 0)], told_by("user:\ud800")),
        "duplicate revision": ledger.store.append(
            [a_slice(doubled, 0, 2), a_slice(doubled, 0, 1)], told_by()
        ),
        "actor too long for its index": ledger.store.append(
            [a_slice(uuid4(), 0)], told_by(_incompressible())
        ),
    }
    neighbours = [ledger.store.append([a_slice(stream, 0)], told_by()) for stream in good]
    mixed = [*neighbours[:25], *bad.values(), *neighbours[25:]]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    refusals = dict(zip(bad, answers[25 : 25 + len(bad)], strict=True))
    landed = answers[:25] + answers[25 + len(bad) :]
    assert isinstance(refusals.pop(RevisionConflict), RevisionConflict)
    assert isinstance(refusals.pop(KeyReused), KeyReused)
    assert isinstance(refusals.pop(EventTooLarge), EventTooLarge)
    assert isinstance(refusals.pop("actor too long for its index"), EventTooLarge)
    assert {name: type(answer) for name, answer in refusals.items()} == dict.fromkeys(refusals, Invalid)
    assert sorted(answer.position for answer in landed if not isinstance(answer, BaseException)) == list(
        range(3, 53)
    )
    assert {event.stream for event in await ledger.store.read_log()} == {stale, *good}


async def test_a_text_about_a_nul_is_no_nul(ledger: Ledger) -> None:
    stream = uuid4()
    await ledger.store.append(
        [Slice(stream, 0, "track", "k", (an_event({"title": r"\u0000 and \\u0000"}),))], told_by()
    )
    [recorded] = await ledger.store.read_stream(stream)
    assert recorded.data == {"title": r"\u0000 and \\u0000"}


async def test_the_largest_event_and_append_are_stored_and_larger_ones_are_not(ledger: Ledger) -> None:
    largest = NewEvent(uuid4(), "track.described", 1, b'"' + b"x" * (MAX_EVENT_BYTES - 2) + b'"')
    stream = uuid4()
    await ledger.store.append([Slice(stream, 0, "track", "k", (largest,))], told_by())
    [recorded] = await ledger.store.read_stream(stream)
    assert len(recorded.data) == MAX_EVENT_BYTES - 2
    with pytest.raises(EventTooLarge):
        await ledger.store.append([Slice(uuid4(), 0, "track", "k", (largest,) * 8)], told_by())
    assert await ledger.store.head() == 1


async def test_an_append_that_names_no_stream_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Invalid):
        await ledger.store.append([], told_by())


async def test_the_sync_door_gives_the_same_answers(ledger: Ledger) -> None:
    stream, key = uuid4(), a_key()
    append = ledger.store.append_sync
    first = await asyncio.to_thread(append, [a_slice(stream, 0, 2)], told_by(), key)
    assert (first.position, first.revision) == (2, 2)
    assert (await asyncio.to_thread(append, [a_slice(stream, 0, 2)], told_by(), key)).repeated is not None
    with pytest.raises(RevisionConflict):
        await asyncio.to_thread(append, [a_slice(stream, 0)], told_by())


async def test_a_stream_is_read_between_two_revisions(ledger: Ledger) -> None:
    stream = uuid4()
    await ledger.store.append([a_slice(stream, 0, 10)], told_by())
    assert [e.revision for e in await ledger.store.read_stream(stream, 3, 6)] == [4, 5, 6]
    assert [e.revision for e in await ledger.store.read_stream(stream, 8)] == [9, 10]
    assert [e.revision for e in await ledger.store.read_stream(stream, 2, limit=2)] == [3, 4]
    assert await ledger.store.read_stream(stream, 0, 0) == []


async def test_the_log_is_read_by_what_an_auditor_asks_for(ledger: Ledger) -> None:
    track, device, correlation = uuid4(), uuid4(), uuid4()
    await ledger.store.append([a_slice(track, 0, 2)], told_by("user:a"))
    named = Slice(device, 0, "device", "d", (an_event(type_="device.registered"), *events(1)))
    await ledger.store.append([named], told_by("user:b", correlation))

    async def positions(**filters: object) -> list[int]:
        return [event.position for event in await ledger.store.read_log(**filters)]  # type: ignore[arg-type]

    assert await positions() == [1, 2, 3, 4]
    assert await positions(after_position=1, limit=2) == [2, 3]
    assert await positions(up_to=2) == [1, 2]
    assert await positions(categories=["device"]) == [3, 4]
    assert await positions(categories=[]) == []
    assert await positions(type="device.registered") == [3]
    assert await positions(actor="user:a") == [1, 2]
    assert await positions(stream=device, type="track.described") == [4]
    assert await positions(correlation_id=correlation, after_position=3) == [4]


async def test_the_ledger_view_shows_the_log_as_json(ledger: Ledger, database: Access) -> None:
    """Also beside states that are no JSON, as the library's compressor makes them."""
    stream = uuid4()
    await ledger.store.append([Slice(stream, 0, "track", "k", (an_event({"bpm": 128}),))], told_by())
    with psycopg.connect(database.owner) as owner:
        owner.execute(
            "INSERT INTO stored_events (originator_id, originator_version, notification_id, topic, state)"
            r" VALUES (%s, 1, 2, 'x', '\xff00')",
            [uuid4()],
        )
    with psycopg.connect(database.serving) as serving:
        rows = serving.execute("SELECT position, stream, type, data ->> 'bpm' FROM ledger ORDER BY position")
        assert rows.fetchall()[0] == (1, stream, "track.described", "128")
        assert serving.execute("SELECT position FROM ledger WHERE data IS NULL").fetchall() == [(2,)]


def _incompressible() -> str:
    return "user:" + "".join(str(uuid4()) for _ in range(200))
