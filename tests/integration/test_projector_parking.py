"""What can't be folded stops its own stream and nothing else, is listed, and heals by a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from domain import ids
from domain.events import REGISTRY
from domain.log import Batch, NewEvent, Slice
from domain.recorded import Recorded
from domain.registry import Event, EventType, Registry
from projections.documents import Generation, Stored
from projections.projector import Projector
from projections.replay import replay, replay_all
from projections.track_detail import TRACK_DETAIL
from projections.track_list import TRACK_LIST
from projections.view import Document
from tests.servers.ledgers import told_by
from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    open_read_side,
    read_models,
    running,
    stored,
    tell,
    until,
)
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

VIEWS = (TRACK_LIST, TRACK_DETAIL)


class TrackSung(Event, frozen=True):
    """What a newer writer may know and this code does not."""

    verse: int


NEWER = Registry([*REGISTRY.types.values(), EventType("track.sung", TrackSung)])


@pytest.fixture
async def side(postgres: TestServer, documents_in: str | None) -> AsyncIterator[ReadSide]:
    with read_models(postgres, VIEWS) as access:
        async with open_read_side(access, VIEWS, documents_in) as side:
            yield side


def uploaded(track: UUID) -> list[Event]:
    return [t.uploaded(track_id=track), t.queued(job_id=ids.job_id(track, 1))]


async def poison(side: ReadSide, track: UUID, after: int, data: Any = None) -> int:
    event = NewEvent(uuid4(), "track.sung", 1, msgspec.json.encode(data or {"verse": 1}))
    slice_ = Slice(track, after, "track", str(track), (event,))
    return (await side.events.append([slice_], told_by())).position


async def test_one_poisoned_event_stops_only_its_stream(side: ReadSide) -> None:
    """Other streams go on, the watermark too; the stream is listed with its place and its error."""
    bad, good = uuid4(), uuid4()
    async with running(side):
        await tell(side.events, bad, uploaded(bad))
        position = await poison(side, bad, after=2)
        await tell(side.events, bad, [t.started()], after=3)
        await tell(side.events, good, uploaded(good))
        await caught_up(side, VIEWS)
    for view in VIEWS:
        assert (await stored(side, view.name, good)).seen == 2
        standing = await side.store.standing(view.name)
        assert standing is not None
        [parked] = await side.store.parked(standing.generation)
        assert (parked.id, parked.seen, parked.handled) == (str(bad), 2, 4)
        assert parked.parked is not None
        assert (parked.parked.revision, parked.parked.position) == (3, position)
        assert "track.sung" in parked.parked.error
    assert {status.parked for status in await side.views.status()} == {1}


async def test_replay_before_a_fix_says_what_is_still_wrong(side: ReadSide) -> None:
    bad = uuid4()
    async with running(side):
        await tell(side.events, bad, uploaded(bad))
        await poison(side, bad, after=2)
        await caught_up(side, VIEWS)
    outcome = await replay_all(TRACK_LIST, side.store, side.events, REGISTRY)
    parked = outcome[str(bad)]
    assert parked is not None
    assert "track.sung" in parked.error
    assert (await stored(side, "track_list", bad)).parked == parked


async def test_replay_after_a_fix_heals_the_stream_with_all_that_waited(side: ReadSide) -> None:
    bad = uuid4()
    async with running(side):
        await tell(side.events, bad, uploaded(bad))
        await poison(side, bad, after=2)
        await tell(side.events, bad, [t.started()], after=3)
        await caught_up(side, VIEWS)
        assert await replay_all(TRACK_LIST, side.store, side.events, NEWER) == {str(bad): None}
        healed = await stored(side, "track_list", bad)
        assert (healed.seen, healed.parked) == (4, None)
        assert healed.body is not None
        assert healed.body["status"] == "analysing"
        # And the projector goes on from there.
        await tell(side.events, bad, [t.completed()], after=4)
        await caught_up(side, VIEWS)
    assert (await stored(side, "track_list", bad)).seen == 5
    assert (await stored(side, "track_detail", bad)).parked is not None, "each view is healed for itself"


async def test_replay_goes_through_a_long_stream_page_by_page(
    side: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between two pages it stays parked, at the place it came to, and goes on from there."""
    monkeypatch.setattr("projections.replay.PAGE", 3)
    bad = uuid4()
    async with running(side):
        await tell(side.events, bad, uploaded(bad))
        await poison(side, bad, after=2)
        renamed = [t.e.TrackDescribed(title=f"Name {n}") for n in range(10)]
        await tell(side.events, bad, renamed, after=3)
        await caught_up(side, VIEWS)
        standing = await side.store.standing("track_list")
        assert standing is not None
        seen: list[Stored] = []

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(side.store, name)

            async def write(self, *args: Any) -> Any:
                lost = await side.store.write(*args)
                seen.append(await stored(side, "track_list", bad))
                return lost

        assert await replay(TRACK_LIST, standing.generation, bad, Watched(), side.events, NEWER) is None
    assert [(s.seen, s.handled, s.parked is None) for s in seen] == [
        (5, 13, False),
        (8, 13, False),
        (11, 13, False),
        (13, 13, True),
    ]


async def test_a_gap_parks_and_a_replay_from_the_event_store_heals_it(side: ReadSide) -> None:
    track = uuid4()
    await tell(side.events, track, [*uploaded(track), t.started(), t.completed()])
    events = await side.events.read_log()
    generation = await side.store.begin("track_list", 1)
    one = Projector(TRACK_LIST, generation, side.store, REGISTRY, side.progress)
    await one.handle(Batch((events[0], events[3]), {"0": 4}))
    [parked] = await side.store.parked(generation)
    assert (parked.seen, parked.handled) == (1, 4)
    assert await replay(TRACK_LIST, generation, track, side.store, side.events, REGISTRY) is None
    healed = (await side.store.get_many(generation, [str(track)]))[str(track)]
    assert (healed.seen, healed.parked) == (4, None)


async def test_replays_that_race_with_the_projector_lose_no_event(side: ReadSide) -> None:
    """The stream grows while it is replayed, and replayed while it grows: nothing stays behind."""
    bad = uuid4()
    async with running(side):
        await tell(side.events, bad, uploaded(bad))
        await poison(side, bad, after=2)
        standing = None
        while standing is None:
            standing = await side.store.standing("track_list")
            await asyncio.sleep(0)
        generation: Generation = standing.generation

        async def grow() -> None:
            for revision in range(3, 63):
                await tell(side.events, bad, [t.e.TrackDescribed(title=f"Name {revision}")], after=revision)

        growing = asyncio.create_task(grow())
        while not growing.done():
            await replay(TRACK_LIST, generation, bad, side.store, side.events, NEWER)
        await growing
        await replay(TRACK_LIST, generation, bad, side.store, side.events, NEWER)
        await caught_up(side, VIEWS)

        async def whole() -> bool:
            return (await stored(side, "track_list", bad)).seen == 63

        await until(whole)
    end = await stored(side, "track_list", bad)
    assert end.parked is None
    assert end.body is not None
    assert end.body["title"] == "Name 62"


async def test_a_document_the_store_cannot_hold_parks_its_stream_alone(side: ReadSide) -> None:
    """A bug of one view: its text has a NUL for one track. The batch's other documents are written."""
    bad, good = uuid4(), uuid4()

    def apply(document: Document | None, recorded: Recorded) -> Document | None:
        return {"text": "a\0b" if recorded.stream == bad else "fine", "created_at": ""}

    view = replace(TRACK_LIST, apply=apply)
    for track in (good, bad):
        await tell(side.events, track, uploaded(track))
    generation = await side.store.begin("track_list", 1)
    one = Projector(view, generation, side.store, REGISTRY, side.progress)
    await one.handle(Batch(tuple(await side.events.read_log()), {"0": 4}))
    there = await side.store.get_many(generation, [str(bad), str(good)])
    assert (there[str(good)].seen, there[str(good)].parked) == (2, None)
    parked = there[str(bad)]
    assert (parked.seen, parked.handled, parked.body) == (0, 2, None)
    assert await side.store.watermarks(generation) == {"0": 4}
    assert await replay(TRACK_LIST, generation, bad, side.store, side.events, REGISTRY) is None
