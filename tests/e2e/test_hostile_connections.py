"""Half headers and stalled uploads take no place from honest clients, and none for long."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlparse

import httpx2
import pytest

from tests.servers.beatledger import Beatledger, upload
from tests.servers.processes import until

DESCRIPTORS = 1024


@contextmanager
def descriptors(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def tight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beatledger]:
    """An `up` that may open 1,024 descriptors and waits 8 s for headers and bodies."""
    monkeypatch.setenv("BEATLEDGER_HEADER_SECONDS", "8")
    monkeypatch.setenv("BEATLEDGER_BODY_WINDOW_SECONDS", "8")
    up = Beatledger(tmp_path / "data")
    with descriptors(DESCRIPTORS):
        up.start(60)
    yield up
    up.stop()


def p95(client: httpx2.Client, requests: int = 60) -> float:
    """Return the 95th percentile (s) of reads, each over a connection of its own."""
    took: list[float] = []
    for _ in range(requests):
        began = time.monotonic()
        assert client.get("/v1/tracks", headers={"Connection": "close"}).status_code == 200
        took.append(time.monotonic() - began)
    return sorted(took)[int(0.95 * requests)]


def count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def opened(up: Beatledger) -> int:
    assert up.process is not None
    return count(Path(f"/proc/{up.process.pid}/fd"))


def hostile(stack: ExitStack, up: Beatledger, source: str, request: bytes) -> None:
    at = urlparse(up.url)
    line = socket.create_connection((at.hostname, at.port), timeout=20, source_address=(source, 0))
    stack.enter_context(line)
    line.sendall(request)


def test_1500_half_headers_and_150_stalled_uploads_shut_nobody_out(tight: Beatledger, song: bytes):
    stalled = (
        "POST /v1/tracks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {tight.token(name='Mallory')}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
    ).encode()
    incoming = tight.folder / "incoming"
    with tight.client() as honest, descriptors(4096), ExitStack() as attack:
        idle_s = p95(honest)
        before = opened(tight)
        for _ in range(150):
            hostile(attack, tight, "127.0.0.2", stalled)
        until(lambda: count(incoming) == 150, 5, "150 stalled uploads")
        for number in range(1500):
            hostile(attack, tight, f"127.0.0.{3 + number % 5}", b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        assert p95(honest) < max(0.2, 3 * idle_s)
        assert upload(honest, song).status_code == 202
        assert opened(tight) < DESCRIPTORS - 100
        until(lambda: opened(tight) < before + 30, 30, "the places were freed")
        assert count(incoming) == 0
        assert upload(honest, song).status_code == 202
