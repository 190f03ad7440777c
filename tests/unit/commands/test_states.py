"""A long stream is loaded by one snapshot and its tail; nothing old ever decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import structlog

from analysis.canonical import canonical
from commands.recent_states import MAX_BYTES
from commands.states import States
from domain.errors import Unavailable
from domain.events import REGISTRY
from domain.log import PAGE_EVENTS, Metadata, Slice
from domain.track import events as e
from domain.track.decider import TRACK
from domain.track.state import INITIAL, Ready
from tests.unit.commands.memory import MemorySnapshots, MemoryStore
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

SOMEBODY = Metadata("user:x", UUID(int=1), None, UUID(int=1))
LONG = 10_000
ON_TRACK = TRACK.at(t.TRACK, str(t.TRACK))


def described(title: str) -> e.TrackDescribed:
    return e.TrackDescribed(title)


def grown(store: MemoryStore, to: int) -> None:
    """Let the track's stream have `to` events: its upload, its analysis, and then new titles."""
    begun = (t.uploaded(), t.queued(), t.started(), t.completed())
    at = len(store.log)
    events = [*begun, *(described(f"title {n}") for n in range(5, to + 1))][at:to]
    encoded = tuple(REGISTRY.encode(event, uuid4()) for event in events)
    store.write(Slice(t.TRACK, at, "track", str(t.TRACK), encoded), SOMEBODY)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def snapshots() -> MemorySnapshots:
    return MemorySnapshots()


async def test_a_stream_that_is_not_there_is_its_initial_state(
    store: MemoryStore, snapshots: MemorySnapshots
):
    loaded = await States(store, snapshots).load(ON_TRACK)
    assert (loaded.state, loaded.revision, loaded.position) == (INITIAL, 0, 0)


async def test_a_long_stream_is_read_whole_once_and_then_by_snapshot_and_tail(
    store: MemoryStore, snapshots: MemorySnapshots
):
    grown(store, LONG)
    states = States(store, snapshots)
    first = await states.load(ON_TRACK)
    await states.close()
    assert sum(count for _, _, count in store.reads) == LONG
    assert max(count for _, _, count in store.reads) == PAGE_EVENTS

    grown(store, LONG + 7)
    store.reads.clear()
    second = await States(store, snapshots).load(ON_TRACK)
    assert store.reads == [(t.TRACK, LONG - 1, 1), (t.TRACK, LONG, 7)]
    assert (second.revision, second.position) == (LONG + 7, LONG + 7)
    assert isinstance(second.state, Ready)
    assert second.state.profile.title == f"title {LONG + 7}"
    assert second.state.current == first.state.current


async def test_a_snapshot_alone_says_where_its_stream_stands(store: MemoryStore, snapshots: MemorySnapshots):
    """Position and state of a stream without a tail come from the snapshot."""
    grown(store, 300)
    states = States(store, snapshots)
    first = await states.load(ON_TRACK)
    await states.close()
    store.reads.clear()
    again = await States(store, snapshots).load(ON_TRACK)
    assert store.reads == [(t.TRACK, 299, 1), (t.TRACK, 300, 0)]
    assert (again.state, again.revision, again.position) == (first.state, 300, 300)


async def test_a_state_in_memory_is_brought_up_to_date_by_the_tail(
    store: MemoryStore, snapshots: MemorySnapshots
):
    grown(store, 10)
    states = States(store, snapshots)
    await states.load(ON_TRACK)
    grown(store, 12)
    store.reads.clear()
    loaded = await states.load(ON_TRACK)
    assert store.reads == [(t.TRACK, 10, 2)]
    assert loaded.state.profile.title == "title 12"


@pytest.mark.parametrize(("length", "expected"), [(199, None), (200, 200), (399, 200), (400, 400)])
async def test_snapshots_are_taken_every_two_hundred_revisions(
    store: MemoryStore, snapshots: MemorySnapshots, length: int, expected: int | None
):
    states = States(store, snapshots)
    for at in range(1, length + 1):
        grown(store, at)
        await states.load(ON_TRACK)
    await states.close()
    kept = snapshots.kept.get(("track", t.TRACK))
    assert (kept and kept[0]) == expected


async def test_a_restart_alone_is_no_reason_for_a_snapshot(store: MemoryStore, snapshots: MemorySnapshots):
    grown(store, 300)
    for _ in range(2):
        states = States(store, snapshots)
        await states.load(ON_TRACK)
        await states.close()
        grown(store, len(store.log) + 50)
    assert snapshots.kept["track", t.TRACK][0] == 300
    assert len(store.log) == 400


async def test_a_snapshot_of_another_fold_is_not_used(store: MemoryStore, snapshots: MemorySnapshots):
    grown(store, 300)
    states = States(store, snapshots)
    await states.load(ON_TRACK)
    await states.close()
    newer = replace(TRACK, fold_version=TRACK.fold_version + 1)
    store.reads.clear()
    await States(store, snapshots).load(newer.at(t.TRACK, ""))
    assert store.reads[0] == (t.TRACK, 0, 300)


async def test_a_snapshot_is_never_waited_for(store: MemoryStore):
    """The answer is there while the database still takes its time over the snapshot."""
    grown(store, 300)
    slow = SlowSnapshots()
    states = States(store, slow)
    assert (await states.load(ON_TRACK)).revision == 300
    assert slow.kept == {}
    slow.go_on.set()
    await states.close()
    assert slow.kept["track", t.TRACK][0] == 300


class SlowSnapshots(MemorySnapshots):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def write_snapshot(self, *snapshot: Any) -> None:
        await self.go_on.wait()
        await super().write_snapshot(*snapshot)


class FailingSnapshots(MemorySnapshots):
    async def write_snapshot(self, *snapshot: Any) -> None:
        raise Unavailable("away")


async def test_a_snapshot_that_fails_is_told_to_the_log_and_to_nobody_else(store: MemoryStore):
    grown(store, 300)
    states = States(store, FailingSnapshots())
    with structlog.testing.capture_logs() as logs:
        assert (await states.load(ON_TRACK)).revision == 300
        await states.close()
    assert [entry["event"] for entry in logs] == ["snapshot_not_written"]
    assert isinstance(logs[0]["exc_info"], Unavailable)


async def test_the_streams_used_longest_ago_leave_the_memory(store: MemoryStore, snapshots: MemorySnapshots):
    streams = [uuid4() for _ in range(3)]
    for stream in streams:
        event = REGISTRY.encode(t.uploaded(track_id=stream), uuid4())
        store.write(Slice(stream, 0, "track", str(stream), (event,)), SOMEBODY)
    states = States(store, snapshots, keep=2)
    for stream in (streams[0], streams[1], streams[0], streams[2]):
        await states.load(TRACK.at(stream, ""))
    store.reads.clear()
    for stream in streams:
        await states.load(TRACK.at(stream, ""))
    assert [after for _, after, _ in store.reads][:2] == [1, 0]


async def test_an_unknown_id_takes_no_place_in_memory(store: MemoryStore, snapshots: MemorySnapshots):
    grown(store, 3)
    states = States(store, snapshots, keep=1)
    await states.load(ON_TRACK)
    await states.load(TRACK.at(uuid4(), ""))
    store.reads.clear()
    await states.load(ON_TRACK)
    assert store.reads == [(t.TRACK, 3, 0)]


SHAPE_OF_FOLD = {1: "15e45a0d1aade0fa"}


def test_a_changed_state_raises_the_version_of_the_fold():
    """Or a snapshot of before would be read as a state of now: put the new shape under a new version."""
    shape = canonical(_without_prose(msgspec.json.schema(TRACK.state)))
    assert SHAPE_OF_FOLD[TRACK.fold_version] == sha256(shape).hexdigest()[:16]


def _without_prose(schema: Any) -> Any:
    match schema:
        case dict():
            return {key: _without_prose(value) for key, value in schema.items() if key != "description"}
        case list():
            return [_without_prose(value) for value in schema]
        case _:
            return schema


async def test_large_states_are_kept_by_their_bytes_not_their_number(
    store: MemoryStore, snapshots: MemorySnapshots
):
    """Five hundred tracks with grids as large as they may be would be a gigabyte."""
    beats = tuple(round(n * 60.037, 3) for n in range(20_000))
    begun = (t.uploaded(), t.queued(), t.started(), t.completed(beats_ms=beats, downbeats_ms=beats[::4]))
    encoded = tuple(REGISTRY.encode(event, uuid4()) for event in begun)
    streams = [UUID(int=n) for n in range(60)]
    states = States(store, snapshots)
    for stream in streams:
        store.write(Slice(stream, 0, "track", str(stream), encoded), SOMEBODY)
        loaded = await states.load(TRACK.at(stream, ""))
    fits = MAX_BYTES // len(msgspec.json.encode(loaded.state))
    store.reads.clear()
    for stream in reversed(streams):
        await states.load(TRACK.at(stream, ""))
    from_memory = [read_after == 4 for _, read_after, _ in store.reads]
    assert 0 < fits < 60
    assert from_memory == [True] * fits + [False] * (60 - fits)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.replace(b'"title 300"', b'"title 999"'),
        lambda content: content.replace(b'"event_id":"', b'"event_id":"0', 1).replace(b'0"', b'"', 1),
        lambda content: content[:-20],
        lambda content: b"{}",
    ],
)
async def test_a_snapshot_that_was_changed_decides_nothing_and_is_reported(
    store: MemoryStore, snapshots: MemorySnapshots, spoil: Any
):
    grown(store, 300)
    states = States(store, snapshots)
    right = await states.load(ON_TRACK)
    await states.close()
    revision, version, content = snapshots.kept["track", t.TRACK]
    assert spoil(content) != content
    snapshots.kept["track", t.TRACK] = (revision, version, spoil(content))
    with structlog.testing.capture_logs() as logs:
        loaded = await States(store, snapshots).load(ON_TRACK)
    assert (loaded.state, loaded.revision) == (right.state, 300)
    assert [entry["event"] for entry in logs] == ["snapshot_refused"]


async def test_a_snapshot_of_another_log_decides_nothing(store: MemoryStore, snapshots: MemorySnapshots):
    """A restored database may hold other events in the same stream: the snapshot names its last one."""
    grown(store, 300)
    states = States(store, snapshots)
    await states.load(ON_TRACK)
    await states.close()
    other = MemoryStore()
    grown(other, 300)
    with structlog.testing.capture_logs() as logs:
        await States(other, snapshots).load(ON_TRACK)
    assert sum(count for _, after, count in other.reads if after < 299) == 300
    assert [entry["event"] for entry in logs] == ["snapshot_refused"]
