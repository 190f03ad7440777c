"""From upload to version, as a client sees it: details, lists, grids, corrections, artefacts."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time

import httpx2
import pytest

from api.rest import models
from projections.cursor import decode_cursor, encode_cursor, list_digest
from projections.documents import Differs, Place
from tests.e2e.rest.house import SONG, House, ready, until, upload

pytestmark = pytest.mark.anyio

JSON = {"Accept": "application/json"}


async def test_an_uploaded_song_becomes_a_track_with_a_version(producer: httpx2.AsyncClient) -> None:
    """The detail has what its model promises, the current version and its figures."""
    answer = await upload(producer, "Dawn", artist="The Early", tags=["a", "b"], preset="edm", priority="7")
    models.UploadAccepted.model_validate(answer)
    shape = models.TrackDetail.model_validate(await ready(producer, answer["track_id"]))
    assert (shape.title, shape.artist, shape.tags, shape.preset) == ("Dawn", "The Early", ["a", "b"], "edm")
    assert shape.version == models.VersionName(number=1, reason="analysis")
    assert shape.current_version is not None
    assert shape.current_version.by == "service:analysis"
    assert shape.job is not None
    assert (str(shape.job.job_id), shape.job.status) == (answer["job_id"], "completed")
    assert shape.metrics is not None
    assert shape.metrics.bpm == pytest.approx(128, abs=0.5)


async def test_a_job_is_there_as_soon_as_its_upload_was_answered(producer: httpx2.AsyncClient) -> None:
    """Though the queue reads of it in the log only afterwards."""
    answer = await upload(producer, "Asked at once")
    job = await producer.get(f"/v1/jobs/{answer['job_id']}")
    assert job.status_code == 200, job.text
    shape = models.JobShape.model_validate(job.json())
    assert str(shape.track_id) == answer["track_id"]


async def test_what_was_accepted_is_there_at_once(producer: httpx2.AsyncClient) -> None:
    """The Location of a 202, and each resource of a new version: a view that is behind is no 404."""
    for _ in range(5):
        accepted = await upload(producer)
        assert (await _visible(producer, f"/v1/tracks/{accepted['track_id']}")).status_code == 200
    track_id = accepted["track_id"]
    await ready(producer, track_id)
    path, edits = f"/v1/tracks/{track_id}", ("double", "halve") * 5
    kinds = (
        "versions/{}",
        "versions/{}/manifest",
        "beats?version={}",
        "versions/{}/genesis-map",
        "versions/{}/peaks",
    )
    for version, edit in enumerate(edits, 2):
        put = await producer.put(f"{path}/beat-override", json={"edit": edit}, headers={"If-Match": "*"})
        assert put.json()["version"] == version
        kind = kinds[version % len(kinds)].format(version)
        assert (await _visible(producer, f"{path}/{kind}")).status_code == 200, kind
    assert (await producer.get(f"{path}/versions/{version + 1}")).status_code == 404


async def _visible(client: httpx2.AsyncClient, path: str) -> httpx2.Response:
    """Get a path as clients do: a view that is behind for longer than it waits says when to come again."""
    deadline = time.monotonic() + 30
    while (answer := await client.get(path)).status_code == 503 and time.monotonic() < deadline:
        assert answer.json()["code"] == "view_behind"
        await asyncio.sleep(float(answer.headers["retry-after"]))
    return answer


async def test_the_grid_comes_as_json_and_as_doubles(producer: httpx2.AsyncClient, song: str) -> None:
    path = f"/v1/tracks/{song}/beats"
    grid = await producer.get(path)
    models.BeatsShape.model_validate(grid.json())
    beats = grid.json()["beats_ms"]
    assert len(beats) == pytest.approx(len(SONG.beats_ms), abs=2)
    raw = await producer.get(path, headers={"Accept": "application/octet-stream"})
    assert raw.headers["content-type"] == "application/octet-stream"
    assert list(struct.unpack(f"<{len(beats)}d", raw.content)) == beats
    assert raw.headers["etag"] != grid.headers["etag"]
    named = await producer.get(path, params={"version": 1})
    assert named.json() == grid.json()
    assert "immutable" in named.headers["cache-control"]
    assert (await producer.get(path, params={"version": 2})).status_code == 404


async def test_a_grid_that_does_not_exist_yet_is_not_found(idle: House) -> None:
    async with idle.client("producer") as client:
        track_id = (await upload(client))["track_id"]
        response = await client.get(
            f"/v1/tracks/{track_id}/beats", headers={"Prefer": "wait=5", "Consistency-Token": ""}
        )
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_grid_is_corrected_read_back_and_reverted(producer: httpx2.AsyncClient) -> None:
    """Each correction is a new version, visible to whoever brings the answer's Consistency-Token."""
    track_id = (await upload(producer, "To correct"))["track_id"]
    await ready(producer, track_id)
    path = f"/v1/tracks/{track_id}"
    grid = await producer.get(f"{path}/beats")
    before = grid.json()["beats_ms"]

    put = await producer.put(
        f"{path}/beat-override",
        json={"edit": "offset", "offset_ms": 10, "note": "late"},
        headers={"If-Match": grid.headers["etag"]},
    )
    assert put.status_code == 200, put.text
    assert models.VersionAccepted.model_validate(put.json()).version == 2
    wait = {"Consistency-Token": put.headers["consistency-token"], "Prefer": "wait=5"}
    after = (await producer.get(f"{path}/beats", headers=wait)).json()
    assert (after["version"], after["beats_ms"]) == (2, [round(ms + 10, 3) for ms in before])
    detail = (await producer.get(path, headers=wait)).json()
    assert detail["version"] == {"number": 2, "reason": "override"}
    assert (detail["current_version"]["by_name"], detail["current_version"]["note"]) == (
        "Paula Producer",
        "late",
    )

    doubled = await producer.put(
        f"{path}/beat-override", json={"edit": "double"}, headers={"If-Match": put.headers["etag"]}
    )
    assert doubled.json()["version"] == 3
    reverted = await producer.delete(f"{path}/beat-override")
    assert (reverted.status_code, reverted.json()["version"]) == (200, 4)
    wait["Consistency-Token"] = reverted.headers["consistency-token"]
    assert (await producer.get(f"{path}/beats", headers=wait)).json()["beats_ms"] == before
    again = await producer.delete(f"{path}/beat-override")
    assert (again.status_code, again.json()["code"]) == (409, "no_override")

    listed = await producer.get(f"{path}/versions", headers=wait)
    versions = models.VersionPage.model_validate(listed.json())
    assert [v.reason for v in versions.items] == ["analysis", "override", "override", "revert"]
    assert versions.next_cursor is None
    assert (await producer.get(path)).json()["versions"] == {"count": 4, "href": f"{path}/versions"}
    first = (await producer.get(f"{path}/versions?limit=3", headers=wait)).json()
    rest = await producer.get(f"{path}/versions?limit=3&cursor={first['next_cursor']}", headers=wait)
    assert (len(first["items"]), rest.json()["next_cursor"]) == (3, None)
    assert first["items"] + rest.json()["items"] == listed.json()["items"]
    second = (await producer.get(f"{path}/versions/2")).json()
    assert models.VersionShape.model_validate(second) == versions.items[1]
    assert (await producer.get(f"{path}/versions/9")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code", "path"),
    [
        ({"beats_ms": [0, 10]}, 422, "beat_interval", "beats_ms[1]"),
        ({"beats_ms": [0, 500, 1e9]}, 422, "beat_outside", "beats_ms"),
        ({"beats_ms": [0, 500], "downbeats_ms": [250]}, 422, "downbeat_off_grid", "downbeats_ms[0]"),
        ({"edit": "stretch", "anchors": [[0, 0], [0, 500]]}, 422, "anchor_index", "anchors"),
        ({"edit": "treble"}, 422, "invalid_request", "body"),
        ({}, 422, "invalid_request", "beats_ms"),
        ({"edit": "offset"}, 422, "invalid_request", "offset_ms"),
        ({"edit": "double", "x": 1}, 422, "invalid_request", "x"),
        ({"beats_ms": list(range(20_001))}, 422, "invalid_request", "beats_ms"),
        ([], 422, "invalid_request", "body"),
    ],
)
async def test_a_wrong_correction_says_where_it_is_wrong(
    producer: httpx2.AsyncClient, song: str, body: object, status: int, code: str, path: str
) -> None:
    response = await producer.put(f"/v1/tracks/{song}/beat-override", json=body, headers={"If-Match": "*"})
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.json()["errors"][0]["path"] == path


async def test_a_number_that_is_none_is_refused(producer: httpx2.AsyncClient, song: str) -> None:
    """Python's JSON reader takes NaN, ours must not."""
    response = await producer.put(
        f"/v1/tracks/{song}/beat-override",
        content=b'{"edit": "offset", "offset_ms": NaN}',
        headers={"If-Match": "*", "Content-Type": "application/json"},
    )
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_reference_beats_score_the_grid(producer: httpx2.AsyncClient) -> None:
    track_id = (await upload(producer, "With truth"))["track_id"]
    await ready(producer, track_id)
    lines = "".join(f"{ms / 1000:.3f}\t1\n" for ms in SONG.beats_ms)
    response = await producer.post(
        f"/v1/tracks/{track_id}/reference", files={"file": ("truth.txt", lines, "text/plain")}
    )
    assert (response.status_code, response.json()["version"]) == (200, 2), response.text
    wait = {"Consistency-Token": response.headers["consistency-token"], "Prefer": "wait=5"}
    detail = (await producer.get(f"/v1/tracks/{track_id}", headers=wait)).json()
    assert detail["metrics"]["basis"] == "user-reference"
    assert detail["metrics"]["f_measure"] > 0.95
    assert detail["metrics"]["reference"]["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"one\ntwo\n", "reference_line"), (b"\xff\xfe", "reference_not_text"), (b"", "beat_count")],
)
async def test_a_reference_that_is_none_is_refused(
    producer: httpx2.AsyncClient, song: str, content: bytes, code: str
) -> None:
    response = await producer.post(f"/v1/tracks/{song}/reference", files={"file": ("r.txt", content)})
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_a_reference_is_a_file_alone_and_not_endless(producer: httpx2.AsyncClient, song: str) -> None:
    path = f"/v1/tracks/{song}/reference"
    extra = await producer.post(path, data={"kind": "x"}, files={"file": ("r.txt", b"1\n2\n")})
    assert (extra.status_code, extra.json()["code"]) == (422, "field_unknown")
    large = await producer.post(path, files={"file": ("r.txt", b"1.0\n" * 600_000)})
    assert (large.status_code, large.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("name", ["genesis-map", "metrics", "manifest"])
async def test_an_artefact_is_immutable_and_named_by_its_hash(
    producer: httpx2.AsyncClient, song: str, name: str
) -> None:
    path = f"/v1/tracks/{song}/versions/1/{name}"
    whole = await producer.get(path)
    digest = hashlib.sha256(whole.content).hexdigest()
    assert (whole.status_code, whole.headers["etag"]) == (200, f'"{digest}"')
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["content-type"] == "application/json"
    assert whole.json()["version" if name != "genesis-map" else "schemaVersion"]
    known = await producer.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    part = await producer.get(path, headers={"Range": "bytes=5-24"})
    assert (part.status_code, part.content) == (206, whole.content[5:25])
    assert part.headers["content-range"] == f"bytes 5-24/{len(whole.content)}"
    assert part.headers["content-length"] == "20"
    last = await producer.get(path, headers={"Range": "bytes=-7"})
    assert last.content == whole.content[-7:]
    outside = await producer.get(path, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (outside.status_code, outside.json()["code"]) == (416, "range_not_satisfiable")


async def test_what_a_version_does_not_have_is_not_found(producer: httpx2.AsyncClient, song: str) -> None:
    missing = await producer.get(f"/v1/tracks/{song}/versions/7/manifest")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (await producer.get(f"/v1/tracks/{song}/versions/7/peaks")).status_code == 404
    assert (await producer.get(f"/v1/tracks/{song}/versions/1/secrets")).status_code == 422
    assert (await producer.get(f"/v1/tracks/{song}/versions/0/manifest")).status_code == 422


async def test_tracks_are_found_by_what_they_are(idle: House) -> None:
    """Filters, order and pages, over the rows of the view."""
    async with idle.client("producer") as client:
        for title, preset, tags in (
            ("Cherry", "edm", ["findable", "red"]),
            ("apple", "rock", ["findable"]),
            ("Banana", "edm", ["findable"]),
        ):
            answer = await upload(client, title, preset=preset, tags=tags, artist="Fruit Ltd")
        track_id = answer["track_id"]
        await until(lambda: _listed(client, track_id))

        async def titles(**params: object) -> list[str]:
            response = await client.get("/v1/tracks", params={"tag": "findable", **params})
            assert response.status_code == 200, response.text
            return [row.title for row in models.TrackPage.model_validate(response.json()).items]

        assert await titles() == ["Banana", "apple", "Cherry"]
        assert await titles(sort="title") == ["apple", "Banana", "Cherry"]
        assert await titles(sort="-title") == ["Cherry", "Banana", "apple"]
        assert await titles(sort="+created_at") == ["Cherry", "apple", "Banana"]
        assert await titles(preset="edm", sort="title") == ["Banana", "Cherry"]
        assert await titles(q="BAN") == ["Banana"]
        assert await titles(q="fruit ltd", tag="red") == ["Cherry"]
        assert await titles(status="queued", sort="title") == ["apple", "Banana", "Cherry"]
        assert await titles(status="ready") == []
        assert await titles(bpm_min=0) == []
        assert await titles(f_measure_max=1) == []


async def _listed(client: httpx2.AsyncClient, track_id: str) -> bool:
    items = (await client.get("/v1/tracks", params={"limit": 200})).json()["items"]
    return track_id in [row["track_id"] for row in items]


async def test_a_list_is_read_page_by_page(idle: House) -> None:
    async with idle.client("producer") as client:
        for number in range(3):
            answer = await upload(client, f"Page {number}", tags="paged")
        await until(lambda: _listed(client, answer["track_id"]))
        params, seen = {"tag": "paged", "limit": 2, "sort": "title"}, []
        first = (await client.get("/v1/tracks", params=params)).json()
        second = (await client.get("/v1/tracks", params={**params, "cursor": first["next_cursor"]})).json()
        seen = [row["title"] for row in first["items"] + second["items"]]
        assert (seen, second["next_cursor"]) == (["Page 0", "Page 1", "Page 2"], None)
        for other in (
            {"sort": "-title"},
            {"tag": "other"},
            {"q": "page"},
            {"bpm_min": 100},
            {"status": "ready"},
        ):
            query = {**params, "cursor": first["next_cursor"], **other}
            answer = await client.get("/v1/tracks", params=query)
            assert (answer.status_code, answer.json()["code"]) == (422, "cursor"), other
        generation, *_ = decode_cursor(first["next_cursor"])
        listed = list_digest("bpm", (Differs("status", "archived"),))
        forged = encode_cursor(generation, listed, Place("fast", "x"))
        odd = await client.get("/v1/tracks", params={"sort": "bpm", "cursor": forged})
        assert (odd.status_code, odd.json()["code"]) == (422, "cursor")
        wrong = await client.get("/v1/tracks", params={"cursor": "not-one"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "cursor")


async def test_a_list_finds_by_figures(producer: httpx2.AsyncClient, song: str) -> None:
    async def found(**params: object) -> bool:
        response = await producer.get("/v1/tracks", params={"tag": "kept", **params})
        return song in [row["track_id"] for row in response.json()["items"]]

    assert await found(bpm_min=120, bpm_max=135)
    assert not await found(bpm_min=135)
    assert not await found(bpm_max=100)
    assert await found(f_measure_min=0, f_measure_max=1, sort="-f_measure")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "sort=revision",
        "status=gone",
        "preset=polka",
        "bpm_min=nan",
        "tag=%00",
        "q=%01",
    ],
)
async def test_a_wrong_question_is_a_422(producer: httpx2.AsyncClient, query: str) -> None:
    response = await producer.get(f"/v1/tracks?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["errors"][0]["path"] == f"query.{query.split('=')[0]}"


async def test_a_track_is_described_anew_and_archived(idle: House) -> None:
    async with idle.client("producer") as client:
        track_id = (await upload(client, "Old", artist="Who", tags=["x"]))["track_id"]
        path = f"/v1/tracks/{track_id}"
        detail = await until(lambda: _found(client, path))
        patched = await client.patch(
            path,
            json={"title": "  New  ", "artist": None, "tags": []},
            headers={"If-Match": detail.headers["etag"]},
        )
        assert patched.status_code == 200, patched.text
        models.Moved.model_validate(patched.json())
        wait = {"Consistency-Token": patched.headers["consistency-token"], "Prefer": "wait=5"}
        now = (await client.get(path, headers=wait)).json()
        assert (now["title"], now["artist"], now["tags"]) == ("New", None, [])
        assert now["revision"] == patched.json()["revision"]

        for body, code in (
            ({"title": None}, "title_required"),
            ({"title": ""}, "invalid_request"),
            ({"title": "x" * 256}, "invalid_request"),
            ({"tags": [str(n) for n in range(11)]}, "invalid_request"),
            ({"colour": "red"}, "invalid_request"),
        ):
            refused = await client.patch(path, json=body, headers={"If-Match": "*"})
            assert (refused.status_code, refused.json()["code"]) == (422, code), body

        archived = await client.post(f"{path}:archive", json={"reason": "done"})
        assert archived.status_code == 200, archived.text
        wait["Consistency-Token"] = archived.headers["consistency-token"]
        assert (await client.get(path, headers=wait)).json()["status"] == "archived"
        listed = (await client.get("/v1/tracks", params={"q": "new"}, headers=wait)).json()["items"]
        assert track_id not in [row["track_id"] for row in listed]
        listed = (await client.get("/v1/tracks", params={"status": "archived"}, headers=wait)).json()["items"]
        assert track_id in [row["track_id"] for row in listed]
        late = await client.patch(path, json={"title": "Later"}, headers={"If-Match": "*"})
        assert (late.status_code, late.json()["code"]) == (409, "track_archived")
        assert (await client.get(f"{path}/history")).status_code == 200


async def _found(client: httpx2.AsyncClient, path: str) -> httpx2.Response | None:
    """The detail once it shows both events of the upload: a reader may see the first alone for a moment."""
    response = await client.get(path)
    return response if response.json().get("revision") == 2 else None


UNKNOWN = "018f0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("GET", "/versions/1/manifest"),
        ("GET", "/beats"),
        ("GET", "/history"),
        ("GET", "/state"),
        ("GET", "/diff?from=0&to=1"),
        ("PATCH", ""),
        ("POST", ":archive"),
        ("POST", "/analyses"),
        ("PUT", "/beat-override"),
        ("DELETE", "/beat-override"),
    ],
)
async def test_an_unknown_track_is_not_found_and_a_wrong_id_is_no_id(
    producer: httpx2.AsyncClient, method: str, path: str
) -> None:
    body = {"json": {"edit": "double"} if "override" in path else {}} if method in ("PATCH", "PUT") else {}
    headers = {"If-Match": "*"}
    missing = await producer.request(method, f"/v1/tracks/{UNKNOWN}{path}", headers=headers, **body)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await producer.request(method, f"/v1/tracks/42{path}", headers=headers, **body)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    assert wrong.json()["errors"][0]["path"] == "track_id"
