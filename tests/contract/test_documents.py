"""What every document store promises to projectors and queries, whichever database stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.postgres.access import Access
from projections.documents import (
    Between,
    Change,
    Condition,
    Contains,
    Differs,
    DocumentStore,
    Equals,
    Found,
    Generation,
    GenerationGone,
    Has,
    Parked,
    Sort,
    Stored,
    Unwritable,
)
from projections.view import View
from tests.servers.postgres import TestServer
from tests.servers.read_models import empty, open_read_side, read_models

pytestmark = pytest.mark.anyio

SONGS = View(
    name="songs",
    version=1,
    categories=frozenset({"track"}),
    apply=lambda document, recorded: document,
    fields={"title": "text", "status": "text", "bpm": "number", "tags": "array"},
    indexes=(("title",), ("bpm",), ("status", "title"), ("tags",)),
)


@pytest.fixture(scope="module")
def emptied(postgres: TestServer) -> Iterator[Access]:
    with read_models(postgres, [SONGS]) as access:
        yield access


@pytest.fixture
async def store(emptied: Access, documents_in: str | None) -> AsyncIterator[DocumentStore]:
    """An empty store with the indexes of SONGS."""
    empty(emptied)
    async with open_read_side(emptied, [SONGS], documents_in) as side:
        yield side.store


@pytest.fixture
async def songs(store: DocumentStore) -> Generation:
    return await store.begin("songs", 1)


def to(before: Stored, seen: int, body: dict[str, Any] | None, parked: Parked | None = None) -> Change:
    return Change(before, Stored(before.id, seen, body, body is not None, parked))


def new(id: str, **body: Any) -> Change:
    return to(Stored(id), 1, body)


async def ids(
    store: DocumentStore,
    songs: Generation,
    *where: Condition,
    sort: Sort = Sort("title", "text"),  # noqa: B008
) -> list[str]:
    return [found.place.id for found in await store.find(songs, where, sort, None, 100)]


# Writing


async def test_a_document_reads_back_as_it_was_written(store: DocumentStore, songs: Generation) -> None:
    body = {"title": "Für “Élise” \\ \t 🎵", "n": 1, "f": 0.1 + 0.2, "none": None, "in": {"a": [1, [], {}]}}
    parked = Parked(2, 5, 77, "why")
    assert await store.write(songs, [to(Stored("a"), 1, body, parked)]) == frozenset()
    assert await store.get_many(songs, ["a", "b"]) == {"a": Stored("a", 1, body, True, parked)}


async def test_a_write_from_what_is_no_longer_there_loses_and_changes_nothing(
    store: DocumentStore, songs: Generation
) -> None:
    """The zombie: it read revision 1, somebody else has written revision 2 since."""
    await store.write(songs, [new("a", n=1)])
    read = (await store.get_many(songs, ["a"]))["a"]
    assert await store.write(songs, [to(read, 2, {"n": 2})]) == frozenset()
    assert await store.write(songs, [to(read, 3, {"n": "stale"})]) == {"a"}
    assert (await store.get_many(songs, ["a"]))["a"].body == {"n": 2}


async def test_a_document_thought_new_loses_when_it_is_there(store: DocumentStore, songs: Generation) -> None:
    await store.write(songs, [new("a", n=1)])
    assert await store.write(songs, [new("a", n=2)]) == {"a"}
    assert (await store.get_many(songs, ["a"]))["a"].body == {"n": 1}


async def test_a_document_thought_there_loses_when_it_is_not(store: DocumentStore, songs: Generation) -> None:
    assert await store.write(songs, [to(Stored("a", 3, {}), 4, {"n": 4})]) == {"a"}
    assert await store.get_many(songs, ["a"]) == {}


async def test_winners_are_written_beside_losers_and_watermarks_wait_for_all(
    store: DocumentStore, songs: Generation
) -> None:
    await store.write(songs, [new("a", n=1)], watermarks={"0": 5})
    assert await store.write(songs, [new("a", n=2), new("b", n=2)], (), {"0": 9}) == {"a"}
    assert set(await store.get_many(songs, ["a", "b"])) == {"a", "b"}
    assert await store.watermarks(songs) == {"0": 5}


async def test_who_would_unpark_loses_to_who_parked_more(store: DocumentStore, songs: Generation) -> None:
    """A replay has folded all that was parked; meanwhile the projector parked one more event."""
    await store.write(songs, [to(Stored("a"), 1, {"n": 1}, Parked(2, 3, 9, "poison"))])
    read = (await store.get_many(songs, ["a"]))["a"]
    assert await store.write(songs, [to(read, 1, {"n": 1}, Parked(2, 4, 9, "poison"))]) == frozenset()
    assert await store.write(songs, [to(read, 3, {"n": 3})]) == {"a"}


async def test_who_would_park_more_loses_to_who_unparked(store: DocumentStore, songs: Generation) -> None:
    """The other way round: the healed document is not overwritten by the projector's older reading."""
    await store.write(songs, [to(Stored("a"), 1, {"n": 1}, Parked(2, 3, 9, "poison"))])
    read = (await store.get_many(songs, ["a"]))["a"]
    assert await store.write(songs, [to(read, 3, {"n": 3})]) == frozenset()
    assert await store.write(songs, [to(read, 1, {"n": 1}, Parked(2, 4, 9, "poison"))]) == {"a"}


async def test_of_many_writers_at_once_exactly_one_wins(store: DocumentStore, songs: Generation) -> None:
    await store.write(songs, [new("a", n=0)])
    read = (await store.get_many(songs, ["a"]))["a"]
    outcomes = await asyncio.gather(
        *(store.write(songs, [to(read, 2, {"n": n}), new("b", n=n)]) for n in range(8))
    )
    winners = {id: [n for n, lost in enumerate(outcomes) if id not in lost] for id in ("a", "b")}
    assert [len(winners[id]) for id in winners] == [1, 1]
    there = await store.get_many(songs, ["a", "b"])
    assert {id: there[id].body for id in there} == {id: {"n": winners[id][0]} for id in winners}


async def test_entries_are_found_and_writing_them_again_changes_nothing(
    store: DocumentStore, songs: Generation
) -> None:
    for _ in range(2):
        await store.write(
            songs, (), [("a:1", {"title": "x"}), ("a:2", {"title": "y"}), ("a:1", {"title": "x"})]
        )
    assert await ids(store, songs) == ["a:1", "a:2"]


async def test_watermarks_never_go_back(store: DocumentStore, songs: Generation) -> None:
    await store.write(songs, (), (), {"0": 5, "1": 2})
    await store.write(songs, (), (), {"0": 3, "1": 4})
    assert await store.watermarks(songs) == {"0": 5, "1": 4}


@pytest.mark.parametrize("bad", ["a\0b", "half a pair \ud800", {1, object()}])
async def test_what_the_store_cannot_hold_is_told_and_nothing_is_written(
    store: DocumentStore, songs: Generation, bad: object
) -> None:
    with pytest.raises(Unwritable):
        await store.write(songs, [new("good", n=1), new("bad", text=bad)], [("e", {"n": 1})], {"0": 1})
    assert await store.get_many(songs, ["good", "bad", "e"]) == {}
    assert await store.watermarks(songs) == {}


async def test_parked_streams_are_listed_by_position(store: DocumentStore, songs: Generation) -> None:
    await store.write(
        songs,
        [to(Stored("b"), 1, {}, Parked(2, 2, 11, "x")), to(Stored("a"), 0, None, Parked(1, 1, 30, "y"))],
    )
    await store.write(songs, [new("fine")])
    assert [s.id for s in await store.parked(songs)] == ["b", "a"]


# Finding


async def fill(store: DocumentStore, songs: Generation) -> None:
    rows: list[tuple[str, dict[str, Any]]] = [
        ("1", {"title": "b", "status": "ready", "bpm": 128.0, "tags": ["x", "y"]}),
        ("2", {"title": "a", "status": "ready", "bpm": 90, "tags": ["y"]}),
        ("3", {"title": "a", "status": "failed", "bpm": None, "tags": []}),
        ("4", {"title": "c", "status": "archived", "bpm": 174.5, "tags": ["x'; --"]}),
        ("5", {"status": "ready", "bpm": 0, "tags": ['q"']}),
    ]
    await store.write(songs, [new(id, **body) for id, body in rows])
    await store.write(songs, [to(Stored("gone"), 2, None)])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([Equals("status", "ready")], "521"),
        ([Differs("status", "archived")], "5231"),
        ([Equals("bpm", 90)], "2"),
        ([Has("tags", "x")], "1"),
        ([Has("tags", "x'; --")], "4"),
        ([Has("tags", 'q"')], "5"),
        ([Between("bpm", 90, 128)], "21"),
        ([Between("bpm", high=90.0)], "52"),
        ([Between("bpm")], "5214"),
        ([Between("bpm", low=128.0), Equals("status", "ready")], "1"),
        ([Contains("title", "a")], "23"),
        ([Contains("title", "%")], ""),
        ([Equals("status", "ready'; --")], ""),
    ],
)
async def test_conditions_choose_documents(
    store: DocumentStore, songs: Generation, where: list[Condition], expected: str
) -> None:
    """In order of title then id, what has no title first; a tombstone is never among them."""
    await fill(store, songs)
    assert await ids(store, songs, *where) == list(expected)
    assert await store.count(songs, where) == len(expected)


async def test_texts_are_compared_by_code_point_and_searched_letter_by_letter(
    store: DocumentStore, songs: Generation
) -> None:
    titles = ["B", "a", "a b", "é", "(b.c)*", "ab\\d", "BC%_", "x\ny"]
    await store.write(songs, [new(title, title=title) for title in titles])
    assert await ids(store, songs) == sorted(titles)
    for text in ["b.c", "b", "B", "(", "\\d", "%_", " ", "\n", "É", "a|B", "^a"]:
        assert await ids(store, songs, Contains("title", text)) == [t for t in sorted(titles) if text in t]


async def test_numbers_are_compared_by_value_whichever_way_they_are_written(
    store: DocumentStore, songs: Generation
) -> None:
    """And among equals a page goes on by id, in either direction."""
    numbers = {"a": 90, "b": 90.0, "c": 2**40, "d": -1, "e": 90, "f": float(2**40), "g": None}
    await store.write(songs, [new(id, bpm=bpm) for id, bpm in numbers.items()])
    assert await ids(store, songs, Equals("bpm", 90)) == ["a", "b", "e"]
    assert await ids(store, songs, Equals("bpm", float(2**40))) == ["c", "f"]
    for descending, expected in [(False, "gdabecf"), (True, "fcebadg")]:
        place, seen = None, ""
        while page := await store.find(songs, (), Sort("bpm", "number", descending), place, 2):
            seen, place = seen + "".join(f.place.id for f in page), page[-1].place
        assert seen == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (Sort("title", "text"), "52314"),
        (Sort("title", "text", descending=True), "41325"),
        (Sort("bpm", "number"), "35214"),
        (Sort("bpm", "number", descending=True), "41253"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5])
async def test_pages_follow_one_another_without_a_hole_or_a_repetition(
    store: DocumentStore, songs: Generation, sort: Sort, expected: str, size: int
) -> None:
    await fill(store, songs)
    seen: list[Found] = []
    while page := await store.find(songs, (), sort, seen[-1].place if seen else None, size):
        assert len(page) <= size
        seen += page
    assert [found.place.id for found in seen] == list(expected)


async def test_a_page_goes_on_where_it_ended_whatever_was_written_in_between(
    store: DocumentStore, songs: Generation
) -> None:
    await fill(store, songs)
    sort = Sort("bpm", "number")
    first = await store.find(songs, (), sort, None, 3)
    await store.write(songs, [new("0", bpm=-5.0), new("6", bpm=100.0)])
    rest = await store.find(songs, (), sort, first[-1].place, 10)
    assert [f.place.id for f in rest] == ["6", "1", "4"]


async def test_one_generation_never_shows_anothers_documents(store: DocumentStore, songs: Generation) -> None:
    await store.write(songs, [new("a", title="old")])
    other = await store.begin("songs", 2)
    await store.write(other, [new("a", title="new"), new("b", title="newer")])
    assert await ids(store, songs) == ["a"]
    assert await ids(store, other) == ["a", "b"]


async def test_expiring_documents_are_found_until_their_time(store: DocumentStore) -> None:
    now, logs = datetime.now(UTC), Generation("device_logs", 0)
    await store.put_expiring("device_logs", {"old": {"line": 1}}, now - timedelta(seconds=1))
    await store.put_expiring("device_logs", {"new": {"line": 2}}, now + timedelta(hours=1))
    assert await ids(store, logs) == ["new"]
    await store.sweep()
    assert set(await store.get_many(logs, ["old", "new"])) == {"new"}
    assert await ids(store, logs) == ["new"]


# Generations


async def serve(store: DocumentStore, generation: Generation) -> bool:
    await store.follow(generation)
    return await store.switch(generation)


async def test_nothing_serves_until_a_switch(store: DocumentStore, songs: Generation) -> None:
    assert await store.standing("songs") is None
    assert await store.switch(songs) is False, "it is still being built"
    assert await serve(store, songs) is True
    standing = await store.standing("songs")
    assert standing is not None
    assert (standing.generation.number, standing.generation.state) == (songs.number, "serving")


async def test_who_begins_while_another_builds_joins_the_same_generation(store: DocumentStore) -> None:
    begun = await asyncio.gather(*(store.begin("songs", 1) for _ in range(5)))
    assert len({generation.number for generation in begun}) == 1
    assert (await store.begin("songs", 2)).number != begun[0].number
    await store.follow(begun[0])
    assert (await store.begin("songs", 1)).state == "following"


async def test_a_generation_takes_over_only_when_it_has_come_as_far(
    store: DocumentStore, songs: Generation
) -> None:
    """On every shard; and afterwards exactly one serves, the one before is retired."""
    await store.write(songs, (), (), {"0": 7, "1": 3})
    await serve(store, songs)
    second = await store.begin("songs", 1)
    assert second.number > songs.number
    await store.write(second, (), (), {"0": 8})
    assert await serve(store, second) is False
    await store.write(second, (), (), {"1": 2})
    assert await store.switch(second) is False
    await store.write(second, (), (), {"1": 3})
    assert await store.switch(second) is True
    assert await store.switch(second) is True
    assert [g.state for g in await store.generations("songs")] == ["retired", "serving"]
    standing = await store.standing("songs")
    assert standing is not None
    assert standing.watermarks == {"0": 8, "1": 3}


async def test_a_retired_generation_takes_no_more_writes_and_goes_with_its_documents(
    store: DocumentStore, songs: Generation
) -> None:
    await store.write(songs, [new("a", n=1)], watermarks={"0": 1})
    await serve(store, songs)
    second = await store.begin("songs", 1)
    await store.write(second, [new("a", n=2)], watermarks={"0": 1})
    assert await serve(store, second)
    with pytest.raises(GenerationGone):
        await store.write(songs, [new("b", n=1)], (), {"0": 2})
    await store.drop_retired(older_than_s=60)
    assert set(await store.get_many(songs, ["a", "b"])) == {"a"}, "a query may still be reading it"
    await store.drop_retired(older_than_s=0)
    assert await store.get_many(songs, ["a"]) == {}
    assert await store.watermarks(songs) == {}
    assert [g.number for g in await store.generations("songs")] == [second.number]
    assert (await store.get_many(second, ["a"]))["a"].body == {"n": 2}
