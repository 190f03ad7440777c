"""What is MongoDB's own in the document store: BSON, collections, indexes, and what late writers leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from adapters.mongo.control import Entries
from adapters.mongo.documents import MongoDocuments
from adapters.mongo.server import MongoServer
from projections.documents import Change, Equals, Generation, GenerationGone, Sort, Stored, Unwritable
from projections.genesis_maps import GENESIS_MAPS
from projections.track_list import TRACK_LIST
from projections.view import View

pytestmark = pytest.mark.anyio

DOTTED = View(
    name="dotted",
    version=1,
    categories=frozenset({"track"}),
    apply=lambda document, recorded: document,
    fields={"$a.b": "number"},
    indexes=(("$a.b",),),
)


@pytest.fixture
async def server(mongo_url: str) -> AsyncIterator[MongoServer]:
    server = MongoServer(mongo_url)
    yield server
    await server.close()


@pytest.fixture
def store(server: MongoServer) -> MongoDocuments:
    return MongoDocuments(server, [TRACK_LIST, GENESIS_MAPS, DOTTED])


def new(id: str, body: dict[str, Any]) -> Change:
    return Change(Stored(id), Stored(id, 1, body, listed=True))


async def indexes(server: MongoServer, generation: Generation) -> dict[str, Any]:
    return await server.database[f"{generation.view}_{generation.number}"].index_information()


async def test_field_names_with_dots_and_dollars_are_kept_found_and_sorted_by(store: MongoDocuments) -> None:
    """MongoDB would take them for paths, operators and references to other documents."""
    generation = await store.begin("dotted", 1)
    odd: dict[str, Any] = {"$ref": "x", "$id": 1, "a%2Eb": {"c.d": [{"$": 0, "%": 1, ".": 2}]}, "": {"": 1}}
    await store.write(generation, [new("1", {"$a.b": 2, **odd}), new("2", {"$a.b": 1})])
    assert (await store.get_many(generation, ["1"]))["1"].body == {"$a.b": 2, **odd}
    found = await store.find(generation, (), Sort("$a.b", "number"), None, 5)
    assert [(f.place.id, f.place.key) for f in found] == [("2", 1), ("1", 2)]
    assert await store.count(generation, [Equals("$a.b", 2)]) == 1


async def test_numbers_keep_their_kind_at_every_size(store: MongoDocuments) -> None:
    generation = await store.begin("dotted", 1)
    numbers: list[Any] = [1, 1.0, True, None, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63), 0.1, 1e308]
    await store.write(generation, [new("1", {"list": numbers, **{str(n): x for n, x in enumerate(numbers)}})])
    body = (await store.get_many(generation, ["1"]))["1"].body
    assert body is not None
    for there in (body["list"], [body[str(n)] for n in range(len(numbers))]):
        assert [(type(x), x) for x in there] == [(type(x), x) for x in numbers]


def nested(levels: int) -> Any:
    return {"in": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    "bad",
    [
        {"n": 2**63},
        {"n": [1.0, -(2**63) - 1]},
        {"a\0b": 1},
        {"text": ["fine", "a\0b"]},
        {"\ud800": 1},
        {"at": datetime.now(UTC)},
        {"bytes": b"abc"},
        {1: "a number for a name"},
        {"large": "x" * (16 << 20)},
        nested(200),
    ],
    ids=lambda bad: next(iter(bad)) if isinstance(bad, dict) else "",
)
async def test_what_bson_cannot_hold_or_give_back_is_refused_before_anything_is_written(
    store: MongoDocuments, bad: dict[str, Any]
) -> None:
    generation = await store.begin("dotted", 1)
    for write in ([new("good", {}), new("bad", bad)], ()), ([new("good", {})], [("bad", bad)]):
        with pytest.raises(Unwritable):
            await store.write(generation, *write, {"0": 1})
    assert await store.get_many(generation, ["good", "bad"]) == {}
    assert await store.watermarks(generation) == {}


async def test_a_new_generation_has_its_indexes_before_anything_is_written(
    store: MongoDocuments, server: MongoServer
) -> None:
    """Those the views name, each ending in the id, and over what can be found only."""
    tracks, maps = await store.begin("track_list", 1), await store.begin("genesis_maps", 1)
    of_maps = (await indexes(server, maps))["body.track_id_1_body.version_1__id_1"]
    assert of_maps["partialFilterExpression"] == {"listed": True}
    of_tracks = await indexes(server, tracks)
    assert {"body.f_measure_1__id_1", "body.tags_1__id_1", "parked.position_1__id_1"} < set(of_tracks)
    assert len(of_tracks) == len(TRACK_LIST.indexes) + 2


async def test_an_index_that_a_view_gets_later_is_made_on_what_serves(
    store: MongoDocuments, server: MongoServer
) -> None:
    older = MongoDocuments(server, [])
    generation = await older.begin("track_list", 1)
    newer = await older.begin("track_list", 2)
    await store.ensure_indexes([TRACK_LIST])
    assert "body.bpm_1__id_1" in await indexes(server, generation)
    assert "body.bpm_1__id_1" not in await indexes(server, newer), "that is another version's business"


async def test_mongodb_is_told_to_remove_what_expires(store: MongoDocuments, server: MongoServer) -> None:
    at = datetime(2100, 1, 1, tzinfo=UTC)
    await store.put_expiring("deployment_logs", {"line": {"text": "x"}}, at)
    index = (await server.database["deployment_logs"].index_information())["expires_at_1"]
    assert index["expireAfterSeconds"] == 0
    row = await server.database["deployment_logs"].find_one()
    assert row is not None
    assert row["expires_at"] == at
    await store.put_expiring("deployment_logs", {"line": {"text": "y"}}, at - timedelta(days=1))
    found = await store.find(Generation("deployment_logs", 0), (), Sort("text", "text"), None, 5)
    assert [f.body for f in found] == [{"text": "y"}]


async def retired(store: MongoDocuments) -> Generation:
    """Return a generation that another one has taken over from."""
    first = await store.begin("track_list", 1)
    for generation in (first, await store.begin("track_list", 2)):
        await store.follow(generation)
        assert await store.switch(generation)
    return first


async def test_what_a_late_writer_makes_anew_of_a_dropped_generation_is_dropped_again(
    store: MongoDocuments, server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the generation living, then slept while that was retired and dropped."""
    old = await retired(store)

    async def lives(generation: Generation) -> None:
        monkeypatch.undo()
        await store.drop_retired(older_than_s=0)

    monkeypatch.setattr(store, "_check_living", lives)
    with pytest.raises(GenerationGone):
        await store.write(old, [new("late", {"created_at": ""})], (), {"0": 1})
    assert f"track_list_{old.number}" in await server.database.list_collection_names()
    await store.drop_retired(older_than_s=60)
    assert f"track_list_{old.number}" not in await server.database.list_collection_names()
    [serving] = await store.generations("track_list")
    assert f"track_list_{serving.number}" in await server.database.list_collection_names()


async def test_a_document_that_vanished_is_not_made_anew_by_who_thought_it_there(
    store: MongoDocuments, server: MongoServer
) -> None:
    generation = await store.begin("track_list", 1)
    await store.write(generation, [new("a", {"n": 1}), new("b", {"n": 1})])
    read = await store.get_many(generation, ["a", "b"])
    await server.database[f"track_list_{generation.number}"].delete_one({"_id": "a"})
    changes = [Change(read[id], Stored(id, 2, {"n": 2}, listed=True)) for id in ("a", "b")]
    assert await store.write(generation, changes, (), {"0": 2}) == {"a"}
    assert set(await store.get_many(generation, ["a", "b"])) == {"b"}
    assert await store.watermarks(generation) == {}


async def test_a_change_of_what_was_there_before_the_database_was_emptied_is_not_written(
    store: MongoDocuments, mongo_url: str
) -> None:
    """Else a generation would serve again of which nothing is left."""
    await store.begin("track_list", 1)
    seen: list[list[str]] = []

    def change(entries: Entries) -> None:
        seen.append(list(entries))
        if len(seen) == 1:
            with MongoClient[dict[str, Any]](mongo_url) as client:
                client.drop_database(client.get_default_database().name)
        entries["7"] = {"version": 7, "state": "serving", "watermarks": {}}

    await store._change("track_list", change)
    assert [len(entries) for entries in seen] == [1, 0]
    assert [g.number for g in await store.generations("track_list")] == [7]
