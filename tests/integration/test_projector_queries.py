"""Reading what one has just written: queries wait for a token's effects, and say so when they can't."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.readiness import views_follow
from domain import ids
from domain.consistency import encode_token
from domain.errors import Invalid, Unavailable, ViewBehind
from domain.log import NewEvent, Slice
from projections.documents import Between, Contains, Differs, Equals, Has
from projections.queries import Query, Wait
from projections.view import folded_text
from tests.servers.ledgers import told_by
from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    open_read_side,
    read_models,
    running,
    tell,
    tell_stories,
)
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio


@pytest.fixture
async def side(postgres: TestServer, documents_in: str | None) -> AsyncIterator[ReadSide]:
    with read_models(postgres) as access:
        async with open_read_side(access, mongo_url=documents_in) as side:
            yield side


def token(position: int) -> str:
    return encode_token({"0": position})


async def test_a_query_with_the_commands_token_sees_its_effect(side: ReadSide) -> None:
    """A hundred times in a row, in the list and in the detail, though projectors work behind."""
    track = uuid4()
    async with running(side):
        await tell(side.events, track, [t.uploaded(track_id=track), t.queued()])
        for revision in range(2, 102):
            title = f"Title {revision}"
            position = await tell(side.events, track, [t.e.TrackDescribed(title=title)], revision)
            wait = Wait(token(position), 5.0)
            page, detail = await asyncio.gather(
                side.views.find("track_list", Query(), wait),
                side.views.get("track_detail", track, wait),
            )
            assert [item["title"] for item in page.items] == [title]
            assert detail is not None
            assert (detail["title"], detail["revision"]) == (title, revision + 1)


async def test_a_wait_that_runs_out_says_how_far_the_view_is(side: ReadSide) -> None:
    """Nobody projects: it answers at its time, not later."""
    position = await tell(side.events, uuid4(), [t.uploaded()])
    await side.build(next(v for v in side.projections._views if v.name == "track_list"))  # pyright: ignore
    later = await tell(side.events, uuid4(), [t.uploaded()])
    start = time.monotonic()
    with pytest.raises(ViewBehind) as behind:
        await side.views.find("track_list", Query(), Wait(token(later), 0.2))
    assert 0.2 <= time.monotonic() - start < 5.0
    assert (behind.value.wanted, behind.value.reached) == (later, position)


async def test_what_the_view_has_not_seen_yet_is_behind_and_not_absent(side: ReadSide) -> None:
    """Nobody projects: a second's patience, then the reason. Of another stream, it is absent at once."""
    for name in ("track_detail", "track_list", "genesis_maps", "artefact_manifests"):
        await side.build(next(v for v in side.projections._views if v.name == name))  # pyright: ignore
    position = await tell(side.events, track := uuid4(), [t.uploaded(track_id=track)])
    asked = [
        ("track_detail", None),
        ("track_list", None),
        ("genesis_maps", f"{track}:1"),
        ("artefact_manifests", f"{track}:1"),
    ]
    found = await asyncio.gather(
        *(side.views.get(view, track, entry=entry) for view, entry in asked), return_exceptions=True
    )
    assert [type(outcome) for outcome in found] == [ViewBehind] * 4
    assert found[0].wanted == position
    assert found[0].retry_after_s > 0
    assert await side.views.get("track_detail", uuid4()) is None
    async with running(side):
        await caught_up(side)
        assert await side.views.get("track_detail", track) is not None
        assert await side.views.get("genesis_maps", track, entry=f"{track}:1") is None


async def test_what_was_appended_is_found_though_the_view_is_a_moment_behind(side: ReadSide) -> None:
    """A hundred times in a row, without a token: new documents, new entries, and changes asked for."""
    async with running(side):
        await caught_up(side)
        for _ in range(100):
            track = uuid4()
            await tell(side.events, track, [t.uploaded(track_id=track), t.queued()])
            assert await side.views.get("track_detail", track) is not None
            await tell(side.events, track, [t.started(), t.completed()], 2)
            assert await side.views.get("genesis_maps", track, entry=f"{track}:1") is not None
            listed = await side.views.get("track_list", track, lacks=lambda row: row["version"] is None)
            assert listed is not None
            assert listed["version"] == 1


async def test_without_a_wait_the_answer_comes_at_once(side: ReadSide) -> None:
    async with running(side):
        await tell_stories(side.events, seed=1, tracks=2)
        await caught_up(side)
    behind = token(await side.events.head() + 100)
    assert (await side.views.find("track_list", Query(), Wait(behind, None))).items
    assert (await side.views.find("track_list", Query(), Wait(None, 1.0))).items


async def test_a_view_that_was_never_built_is_behind(side: ReadSide) -> None:
    with pytest.raises(ViewBehind):
        await side.views.get("track_list", uuid4())


async def test_a_shard_the_view_does_not_follow_is_not_waited_for(side: ReadSide) -> None:
    async with running(side):
        await caught_up(side)
        wait = Wait(encode_token({"beatledger.device/3": 12}), 0.2)
        assert (await side.views.find("track_list", Query(), wait)).items == ()


async def test_a_wait_for_a_parked_stream_says_so(side: ReadSide) -> None:
    """The view has passed the position, but this document will not show it before a replay."""
    track = uuid4()
    async with running(side):
        await tell(side.events, track, [t.uploaded(track_id=track)])
        poison = Slice(track, 1, "track", str(track), (NewEvent(uuid4(), "track.sung", 1, b"{}"),))
        position = (await side.events.append([poison], told_by())).position
        await caught_up(side)
        with pytest.raises(ViewBehind, match=str(track)):
            await side.views.get("track_detail", track, Wait(token(position), 2.0))
        as_before = await side.views.get("track_detail", track)
        assert as_before is not None
        assert as_before["revision"] == 1


async def test_a_list_filters_sorts_and_pages_and_shows_no_inner_fields(side: ReadSide) -> None:
    titles = ["Alpha", "beta", "Gamma", "alphabet"]
    async with running(side):
        for number, title in enumerate(titles):
            track = uuid4()
            job = ids.job_id(track, 1)
            upload = t.uploaded(track_id=track, title=title, tags=("a",) if number % 2 else ("b",))
            events = [upload, t.queued(job_id=job), t.started(), t.completed()]
            await tell(side.events, track, events[: number + 1])
        await tell(side.events, track, [t.e.TrackArchived(None)], after=4)
        await caught_up(side)

    async def found(*where: object, sort: str = "_title", limit: int = 50) -> list[str]:
        items: list[str] = []
        cursor = None
        while True:
            page = await side.views.find("track_list", Query(where, sort, cursor, limit))  # pyright: ignore
            assert all(not key.startswith("_") for item in page.items for key in item)
            items += [item["title"] for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return items

    assert await found(limit=3) == ["Alpha", "alphabet", "beta", "Gamma"]
    assert await found(sort="-_title", limit=1) == ["Gamma", "beta", "alphabet", "Alpha"]
    assert await found(sort="created_at") == titles
    assert await found(Differs("status", "archived")) == ["Alpha", "beta", "Gamma"]
    assert await found(Contains("_search", folded_text("ALPHA"))) == ["Alpha", "alphabet"]
    assert await found(Has("tags", "a")) == ["alphabet", "beta"]
    assert await found(Between("f_measure", low=0.9)) == ["alphabet"]
    assert await found(Equals("status", "analysing")) == ["Gamma"]
    for sort in ("tags", "nothing"):
        with pytest.raises(Invalid, match=f"by `{sort}`; sortable fields: "):
            await found(sort=sort)


async def test_status_tells_lag_in_events_and_seconds(side: ReadSide) -> None:
    position = await tell(side.events, uuid4(), [t.uploaded()])
    await side.build(next(v for v in side.projections._views if v.name == "track_list"))  # pyright: ignore
    [before] = [s for s in await side.views.status() if s.view == "track_list"]
    assert (before.lag_events, before.lag_s, before.watermarks) == (0, 0.0, {"0": position})
    await tell(side.events, uuid4(), [t.uploaded(), t.queued()])
    await asyncio.sleep(0.05)
    [after] = [s for s in await side.views.status() if s.view == "track_list"]
    assert after.lag_events == 2
    assert 0.05 <= after.lag_s < 5.0
    assert [s.generation for s in await side.views.status() if s.view == "track_detail"] == [0]


async def test_a_view_that_has_passed_more_than_there_is_says_so(side: ReadSide) -> None:
    """As after a restore of an older copy of the event store: it is not ready until somebody acts."""
    await tell(side.events, uuid4(), [t.uploaded()])
    async with running(side):
        await caught_up(side)
    ready = views_follow(side.views)["lag"]
    assert await ready() == "0 events, 0.0 s behind"
    standing = await side.store.standing("track_list")
    assert standing
    await side.store.write(standing.generation, (), (), {"0": 4})
    with pytest.raises(Unavailable, match="3 events ahead of the event store: see Restore"):
        await ready()
    assert {s.view: s.lag_events for s in await side.views.status()}["track_list"] == -3
