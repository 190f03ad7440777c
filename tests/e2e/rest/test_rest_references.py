"""Reference beats over HTTP: each kind of file gives a version scored against it, no other does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import httpx2
import pytest

from tests.e2e.rest.house import SONG, House, ready, upload

pytestmark = pytest.mark.anyio

QUARTER_US = 468_750  # 128 BPM, as the song has


def as_text() -> bytes:
    return "".join(f"{ms / 1000:.6f}\n" for ms in SONG.beats_ms).encode()


def as_jams() -> bytes:
    data = [{"time": ms / 1000, "duration": 0.0, "value": n % 4 + 1} for n, ms in enumerate(SONG.beats_ms)]
    return json.dumps({"annotations": [{"namespace": "beat", "data": data}], "sandbox": {}}).encode()


def as_midi() -> bytes:
    """A first quarter note as long as the song's silence before its first beat, then the song's tempo."""
    head_us = round(SONG.beats_ms[0] * 1000)
    tempi = b"".join(
        delta + b"\xff\x51\x03" + quarter.to_bytes(3, "big")
        for delta, quarter in ((b"\x00", head_us), (b"\x83\x60", QUARTER_US))
    )
    body = tempi + b"\x00\xff\x2f\x00"
    return b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("kind", "made"), [("beat-times", as_text), ("jams", as_jams), ("midi-tempo-map", as_midi)]
)
async def test_a_reference_of_each_kind_scores_the_grid(
    producer: httpx2.AsyncClient, kind: str, made: Callable[[], bytes]
) -> None:
    """Told apart by what is in the file: its name and type lie."""
    track_id = (await upload(producer, f"With {kind}"))["track_id"]
    await ready(producer, track_id)
    content = made()
    response = await producer.post(
        f"/v1/tracks/{track_id}/reference", files={"file": ("truth.pdf", content, "application/pdf")}
    )
    assert (response.status_code, response.json()["version"]) == (200, 2), response.text
    wait = {"Consistency-Token": response.headers["consistency-token"], "Prefer": "wait=5"}
    version = (await producer.get(f"/v1/tracks/{track_id}/versions/2", headers=wait)).json()
    assert (version["reason"], version["metrics"]["basis"]) == ("reference", "user-reference")
    assert version["metrics"]["f_measure"] > 0.9
    reference = version["metrics"]["reference"]
    assert (reference["kind"], reference["sha256"]) == (kind, hashlib.sha256(content).hexdigest())
    assert reference["beats"] == pytest.approx(len(SONG.beats_ms), abs=2)  # a tempo map goes on to the end
    document = (await producer.get(f"/v1/tracks/{track_id}/versions/2/genesis-map", headers=wait)).json()
    assert document["globalMetrics"]["metricsReference"]["kind"] == kind
    assert document["globalMetrics"]["fMeasure"] == version["metrics"]["f_measure"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"one\ntwo\n", "reference_line"),
        (b"1e999\n", "reference_line"),
        (b"\xff\xfe", "reference_not_text"),
        (b"", "beat_count"),
        (b"9\n8\n", "beat_interval"),
        (b"1\n2\n3600\n", "beat_outside"),
        (as_jams()[:-9], "reference_jams"),
        (b'{"annotations": []}', "reference_jams"),
        (b'{"annotations": [{"namespace": "beat", "data": [{"time": 2}, {"time": 1}]}]}', "beat_interval"),
        (as_midi()[:-5], "reference_midi"),
        (as_midi().replace(b"\xff\x51\x03", b"\xff\x51\x02"), "reference_midi"),
        (as_midi().replace(b"\xff\x51\x03", b"\xff\x59\x03"), "reference_midi"),
    ],
    ids=str,
)
async def test_a_damaged_reference_is_refused_and_leaves_nothing(
    working: House, producer: httpx2.AsyncClient, song: str, content: bytes, code: str
) -> None:
    before = working.left()
    response = await producer.post(f"/v1/tracks/{song}/reference", files={"file": ("r.txt", content)})
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert all(error["path"] == "file" for error in response.json()["errors"])
    assert working.left() == before


async def test_a_reference_for_no_track_and_for_one_without_a_version(idle: House) -> None:
    async with idle.client("producer") as client:
        file = {"file": ("r.mid", as_midi())}
        unknown = await client.post("/v1/tracks/01900000-0000-7000-8000-000000000009/reference", files=file)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
        track_id = (await upload(client, "Not analysed"))["track_id"]
        early = await client.post(f"/v1/tracks/{track_id}/reference", files=file)
        assert (early.status_code, early.json()["code"]) == (409, "no_version")
