"""Every rule for what comes in (C1): what is refused leaves no file, no event, no row."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.e2e.rest.house import WAV, House, until

pytestmark = pytest.mark.anyio

MB = 1_000_000
BOUNDARY = "----boundary"


@pytest.fixture
async def client(idle: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with idle.client("producer") as found:
        # Its account is a row, but not one that an upload leaves.
        await found.get("/v1/tracks")
        await until(lambda: _settled(idle))
        yield found


async def _settled(house: House) -> bool:
    """Say whether every event has reached every view, and every job that was queued its row."""
    if any(status.lag_events for status in await house.application.views.status()):
        return False
    queued = await house.ports.events.read_log(type="track.analysis_queued", limit=500)
    jobs = [await house.ports.jobs.get(UUID(event.data["job_id"])) for event in queued]
    return not queued.more and all(jobs)


def form(file: bytes | None = WAV, name: str = "song.wav", **fields: Any) -> dict[str, Any]:
    files = {} if file is None else {"files": {"file": (name, file, "audio/wav")}}
    return {"data": {"title": "Refused", **fields}, **files}


def multipart(*parts: bytes, end: bool = True) -> bytes:
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


RAW = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
TITLE, FILE = part("title", b"Refused"), part("file", WAV, "song.wav")

REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "an empty file": (form(b""), 422, "empty_file"),
    "no file": ({"content": multipart(TITLE), "headers": RAW}, 422, "file_missing"),
    "a file that is a field": (
        {"content": multipart(TITLE, part("file", WAV)), "headers": RAW},
        422,
        "file_missing",
    ),
    "two files": ({"content": multipart(TITLE, FILE, FILE), "headers": RAW}, 422, "one_file_only"),
    "another file": (
        {"content": multipart(TITLE, FILE, part("art", b"x", "x.png")), "headers": RAW},
        422,
        "unexpected_file",
    ),
    "a text under a right name": (form(b"la la la\n" * 1000, "song.wav"), 415, "not_audio"),
    "a picture under a right name": (form(b"\x89PNG\r\n\x1a\n" + bytes(5000), "song.mp3"), 415, "not_audio"),
    "a WAV of which only the header is left": (form(WAV[:44]), 415, "undecodable"),
    "noise behind an MP3's tag": (
        form(b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\x01\x02" * 4000, "a.mp3"),
        415,
        "not_audio",
    ),
    "no title": ({"files": {"file": ("a.wav", WAV)}}, 422, "invalid_request"),
    "a title of 0 characters": (form(title=""), 422, "invalid_request"),
    "a title of blanks": (form(title="   "), 422, "invalid_request"),
    "a title of 256 characters": (form(title="x" * 256), 422, "invalid_request"),
    "a title with a NUL": (form(title="a\x00b"), 422, "invalid_request"),
    "a title that is no UTF-8": (
        {"content": multipart(part("title", b"\xff\xfe"), FILE), "headers": RAW},
        422,
        "not_utf8",
    ),
    "two titles": (form(title=["a", "b"]), 422, "field_repeated"),
    "an artist of 256 characters": (form(artist="x" * 256), 422, "invalid_request"),
    "11 tags": (form(tags=[str(n) for n in range(11)]), 422, "invalid_request"),
    "a tag of blanks": (form(tags=["a", "  "]), 422, "invalid_request"),
    "a tag of 65 characters": (form(tags=["x" * 65]), 422, "invalid_request"),
    "100 tags": (form(tags=[str(n) for n in range(100)]), 413, "too_large"),
    "an unknown preset": (form(preset="polka"), 422, "invalid_request"),
    "priority 11": (form(priority="11"), 422, "invalid_request"),
    "priority half": (form(priority="0.5"), 422, "invalid_request"),
    "no tempo": (form(bpm_hint="nan"), 422, "invalid_request"),
    "an unknown engine": (form(engine="magic"), 422, "invalid_request"),
    "an unknown field": (form(colour="red"), 422, "invalid_request"),
    "a field too long": (form(title="x" * 10_000), 413, "too_large"),
    "a body that is no form": ({"json": {"title": "x"}}, 415, "unsupported_media_type"),
    "a form without boundary": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        400,
        "multipart_malformed",
    ),
    "a form that breaks off in the file": (
        {"content": multipart(TITLE, FILE[:-5000], end=False), "headers": RAW},
        400,
        "multipart_malformed",
    ),
    "a form that does not end": (
        {"content": multipart(TITLE, FILE, end=False), "headers": RAW},
        400,
        "multipart_malformed",
    ),
    "a form of something else": ({"content": b"hello", "headers": RAW}, 400, "multipart_malformed"),
    "a part without a name": (
        {"content": multipart(f"--{BOUNDARY}\r\nX: y\r\n\r\nz\r\n".encode(), FILE), "headers": RAW},
        400,
        "multipart_malformed",
    ),
    "a key that is none": ({**form(), "headers": {"Idempotency-Key": "x" * 256}}, 422, "idempotency_key"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refused_upload_leaves_nothing(idle: House, client: httpx2.AsyncClient, what: str) -> None:
    request, status, code = REFUSED[what]
    before = idle.left()
    response = await client.post("/v1/tracks", **request)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert idle.left() == before


async def chunks(size: int, sent: list[int], then: bytes = b"") -> AsyncIterator[bytes]:
    """Yield a form with a file of `size` bytes, noting how much was asked for."""
    yield multipart(TITLE, part("file", WAV[:44], "long.wav")[:-2], end=False)
    for _ in range(size // 100_000):
        sent.append(100_000)
        yield bytes(100_000)
    yield b"\r\n" + multipart(then)


async def test_51_mb_are_refused_before_they_have_come(idle: House, client: httpx2.AsyncClient) -> None:
    """With Content-Length nothing is read; without it, no more than the limit."""
    before, sent = idle.left(), list[int]()
    announced = await client.post(
        "/v1/tracks", content=chunks(51 * MB, sent), headers={**RAW, "Content-Length": str(51 * MB + 5000)}
    )
    assert (announced.status_code, announced.json()["code"]) == (413, "too_large")
    assert sum(sent) == 0
    unannounced = await client.post("/v1/tracks", content=chunks(51 * MB, sent), headers=RAW)
    assert (unannounced.status_code, unannounced.json()["code"]) == (413, "too_large")
    assert 49 * MB < sum(sent) <= 50 * MB + 200_000
    assert idle.left() == before


async def test_a_form_that_goes_on_after_its_end_is_cut_off(idle: House, client: httpx2.AsyncClient) -> None:
    """What no parser looks at counts too."""
    sent = list[int]()

    async def endless() -> AsyncIterator[bytes]:
        yield multipart(TITLE, FILE)
        while True:
            sent.append(100_000)
            yield bytes(100_000)

    before = idle.left()
    response = await client.post("/v1/tracks", content=endless(), headers=RAW)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert sum(sent) < 52 * MB
    assert idle.left() == before


async def test_a_client_that_goes_away_in_mid_upload_leaves_nothing(idle: House) -> None:
    before, during = idle.left(), list[int]()
    headers = idle.client("producer").headers
    messages = iter(
        [
            {"type": "http.request", "body": multipart(TITLE, FILE[:-5000], end=False), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, Any]:
        during.append(idle.left()["files"])
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(f"nobody is there to be told {message}")

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/tracks",
        "raw_path": b"/v1/tracks",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"authorization", headers["authorization"].encode()),
            (b"content-type", RAW["Content-Type"].encode()),
        ],
    }
    await idle.application.api(scope, receive, send)
    assert during[-1] == before["files"] + 1, "it had begun to write"
    assert idle.left() == before


async def test_a_cancelled_request_leaves_nothing(idle: House, client: httpx2.AsyncClient) -> None:
    """As when the server is stopped in mid-upload."""
    before, halfway = idle.left(), asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield multipart(TITLE, FILE[:-5000], end=False)
        halfway.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(client.post("/v1/tracks", content=stuck(), headers=RAW))
    await halfway.wait()
    assert idle.left()["files"] == before["files"] + 1
    task.cancel()
    await asyncio.wait([task])
    assert idle.left() == before


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`: the kernel refuses the write as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


async def test_a_full_disk_is_told_and_leaves_nothing(idle: House, client: httpx2.AsyncClient) -> None:
    before = idle.left()
    with files_limited_to(100_000):
        response = await client.post("/v1/tracks", **form())
    assert (response.status_code, response.json()["code"]) == (503, "storage_full")
    assert response.headers["retry-after"] == "60"
    assert idle.left() == before
    assert (await client.post("/v1/tracks", **form(title="Room again"))).status_code == 202


async def test_fields_may_come_after_the_file_and_empty_ones_count_as_left_out(
    client: httpx2.AsyncClient,
) -> None:
    empty = (
        part(name, b"") for name in ("artist", "tags", "preset", "priority", "bpm_hint", "engine", "tags")
    )
    parts = (FILE, part("title", "Tschüß".encode()), *empty)
    response = await client.post("/v1/tracks", content=multipart(*parts), headers=RAW)
    assert response.status_code == 202, response.text
    state = (await client.get(response.headers["location"] + "/state")).json()["state"]
    assert (state["profile"]["title"], state["profile"]["artist"]) == ("Tschüß", None)
    assert state["profile"]["tags"] == []
    assert state["profile"]["filename"] == "song.wav"


async def test_limits_themselves_are_allowed(client: httpx2.AsyncClient) -> None:
    """255 characters, 10 tags, 10 of priority."""
    response = await client.post(
        "/v1/tracks",
        **form(title="x" * 255, artist="y" * 255, tags=[str(n) for n in range(10)], priority="10"),
    )
    assert response.status_code == 202, response.text


async def test_the_same_upload_under_one_key_is_one_track(idle: House, client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "upload-once"}
    first = await client.post("/v1/tracks", **form(title="Once"), headers=headers)
    await until(lambda: _settled(idle))
    before = idle.left()
    again = await client.post("/v1/tracks", **form(title="Once"), headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    other = await client.post("/v1/tracks", **form(title="Twice"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    longer = await client.post("/v1/tracks", **form(WAV + bytes(2), title="Once"), headers=headers)
    assert (longer.status_code, longer.json()["code"]) == (422, "key_reused")
    assert idle.left() == before


async def test_uploads_under_one_key_at_once_are_one_track(idle: House, client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "upload-at-once"}
    answers = await asyncio.gather(
        *(client.post("/v1/tracks", **form(title="Race"), headers=headers) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["track_id"] for answer in answers}) == 1
    assert not list(idle.ports.incoming.iterdir())
