"""The files of a version over HTTP: each is what its hash says, and corrections keep what they may."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from analysis.genesis_map import hash_of, read_map
from analysis.graph_document import GraphTemplate, validate
from tests.e2e.rest.house import House, ready, upload

pytestmark = pytest.mark.anyio

BINARY = {"Accept": "application/octet-stream"}
OF_A_GRID = {"genesis-map", "graph-template", "metrics", "peaks", "peaks-binary"}
SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


async def artefacts(client: httpx2.AsyncClient, track_id: str, number: int, **wait: str) -> dict[str, Any]:
    """The files the version's page names, each checked to be what its hash, size and type say."""
    path = f"/v1/tracks/{track_id}/versions/{number}"
    told = (await client.get(path, headers=wait)).json()["artefacts"]
    for name, file in told.items():
        content = await client.get(f"{path}/{name}", headers=wait)
        assert content.status_code == 200, content.text
        digest = hashlib.sha256(content.content).hexdigest()
        assert (content.headers["etag"], file["sha256"]) == (f'"{digest}"', digest)
        assert file["bytes"] == len(content.content)
        assert content.headers["content-type"] == file["media_type"]
    listed = (await client.get(f"{path}/manifest", headers=wait)).json()["artefacts"]
    assert {entry["name"]: (entry["sha256"], entry["size"]) for entry in listed} == {
        name: (file["sha256"], file["bytes"]) for name, file in told.items() if name != "manifest"
    }
    return told


async def graph(client: httpx2.AsyncClient, track_id: str, number: int, **wait: str) -> GraphTemplate:
    """A version's graph, read by the types its schema is made of, and walked."""
    response = await client.get(f"/v1/tracks/{track_id}/versions/{number}/graph-template", headers=wait)
    template = msgspec.json.decode(response.content, type=GraphTemplate)
    validate(template)
    return template


async def test_an_analysed_track_has_every_file(producer: httpx2.AsyncClient, song: str) -> None:
    assert (await artefacts(producer, song, 1)).keys() == {*OF_A_GRID, "timings", "manifest"}
    content = (await producer.get(f"/v1/tracks/{song}/versions/1/genesis-map")).content
    template = await graph(producer, song, 1)
    hashes = read_map(content).metadata.hashes
    assert template.map_sha256 == hashes.map_sha256 == hash_of(content)
    assert (template.track_id, template.version) == (song, 1)
    bars = [node for node in template.nodes if node.kind == "bar"]
    assert [bar.start_ms for bar in bars] == read_map(content).layers.rhythm.downbeat_ms
    timings = (await producer.get(f"/v1/tracks/{song}/versions/1/timings")).json()
    stages = {frame["name"] for frame in timings["shared"]["frames"]}
    assert {"decoding", "spectrum", "beats", "peaks"} <= stages


async def test_the_waveform_comes_in_both_forms(producer: httpx2.AsyncClient, song: str) -> None:
    path = f"/v1/tracks/{song}/versions/1/peaks"
    zooms = (await producer.get(path)).json()["zooms"]
    raw = await producer.get(path, headers=BINARY)
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["vary"] == "Authorization, Accept"
    at = 0
    for zoom in zooms:
        told = struct.unpack_from("<iIiiIi", raw.content, at)
        assert told == (2, 1, 22_050, zoom["samples_per_pixel"], zoom["length"], 1)
        assert list(struct.unpack_from(f"{2 * zoom['length']}b", raw.content, at + 24)) == zoom["data"]
        at += 24 + 2 * zoom["length"]
    assert at == len(raw.content)
    finest = zooms[0]
    seconds = (await producer.get(f"/v1/tracks/{song}")).json()["duration_ms"] / 1000
    assert finest["length"] * finest["samples_per_pixel"] / 22_050 == pytest.approx(seconds, abs=0.02)
    assert max(finest["data"]) > 30
    known = await producer.get(path, headers={**BINARY, "If-None-Match": raw.headers["etag"]})
    assert known.status_code == 304
    head = await producer.get(path, headers={**BINARY, "Range": "bytes=0-23"})
    assert (head.status_code, head.content) == (206, raw.content[:24])


async def test_a_correction_gets_a_graph_of_its_own_and_keeps_the_waveform(
    producer: httpx2.AsyncClient,
) -> None:
    track_id = (await upload(producer, "Corrected"))["track_id"]
    await ready(producer, track_id)
    first = await artefacts(producer, track_id, 1)
    path = f"/v1/tracks/{track_id}"
    changes = [
        ("PUT", "beat-override", {"json": {"edit": "halve"}, "headers": {"If-Match": "*"}}),
        ("DELETE", "beat-override", {}),
        ("POST", "reference", {"files": {"file": ("truth.txt", b"0.5\n1.0\n1.5\n")}}),
    ]
    for number, (method, at, more) in enumerate(changes, 2):
        answer = await producer.request(method, f"{path}/{at}", **more)
        assert answer.status_code == 200, answer.text
        wait = {"Consistency-Token": answer.headers["consistency-token"], "Prefer": "wait=5"}
        made = await artefacts(producer, track_id, number, **wait)
        assert made.keys() == {*OF_A_GRID, "manifest"}
        assert {name: made[name] for name in ("peaks", "peaks-binary")} == {
            name: first[name] for name in ("peaks", "peaks-binary")
        }
        assert made["graph-template"] != first["graph-template"]
        beats = (await producer.get(f"{path}/beats", params={"version": number})).json()
        bars = [node for node in (await graph(producer, track_id, number)).nodes if node.kind == "bar"]
        assert [bar.start_ms for bar in bars] == beats["downbeats_ms"]
        timings = await producer.get(f"{path}/versions/{number}/timings")
        assert (timings.status_code, timings.json()["code"]) == (404, "not_found")


async def test_the_same_file_uploaded_again_is_found_to_be_the_same(
    producer: httpx2.AsyncClient, song: str
) -> None:
    """Whatever it is called: the hash of what was found, and the waveform."""
    again = (await upload(producer, "Under another name", tags=["again"]))["track_id"]
    await ready(producer, again)
    one, other = [
        (await producer.get(f"/v1/tracks/{track_id}/versions/1")).json() for track_id in (song, again)
    ]
    assert one["map_sha256"] == other["map_sha256"]
    assert one["artefacts"]["peaks"] == other["artefacts"]["peaks"]


@pytest.mark.parametrize("name", ["genesis-map/4.0.0", "genesis-map/4.1.0", "graph-template/1.0.0"])
async def test_a_schema_is_read_without_a_token_and_is_the_one_of_the_documentation(
    idle: House, name: str
) -> None:
    async with idle.client() as client:
        response = await client.get(f"/v1/schemas/{name}")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/schema+json"
        assert response.content == (SCHEMAS / f"{name.replace('/', '-')}.json").read_bytes()
        assert json.loads(response.content)["$schema"].endswith("2020-12/schema")
        known = await client.get(f"/v1/schemas/{name}", headers={"If-None-Match": response.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("name", ["genesis-map/3.0.0", "secrets/1.0.0"])
async def test_a_schema_that_is_not_published_is_not_found(idle: House, name: str) -> None:
    async with idle.client() as client:
        response = await client.get(f"/v1/schemas/{name}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
