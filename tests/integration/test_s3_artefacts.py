"""The bucket goes away and comes back: told in seconds, nothing half stored, nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.artefacts.s3 import S3Artefacts, try_bucket
from domain.errors import Unavailable
from tests.servers.s3 import S3Server, running_s3

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A private server that the test may kill and start."""
    with running_s3(tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def test_a_bucket_that_is_away_is_told_in_seconds_and_found_again(
    own_s3: S3Server, tmp_path: Path
) -> None:
    artefacts = S3Artefacts(own_s3.url)
    kept = await artefacts.put(b"kept")
    own_s3.kill()
    upload = tmp_path / "upload"
    upload.write_bytes(b"not now")
    sha256 = hashlib.sha256(b"not now").hexdigest()
    began = time.monotonic()
    for refused in (
        artefacts.get(kept.sha256),
        artefacts.size(kept.sha256),
        artefacts.put(b"lost"),
        artefacts.put_file(upload, sha256),
        artefacts.fetch_to(kept.sha256, tmp_path / "fetched"),
        artefacts.delete(kept.sha256),
    ):
        with pytest.raises(Unavailable):
            await refused
    assert time.monotonic() - began < 60, "six refusals, each within ten seconds"
    assert upload.read_bytes() == b"not now", "whoever gave it can give it again"
    assert not (tmp_path / "fetched").exists()

    await asyncio.to_thread(own_s3.start)
    # It answers before it has found its volumes again.
    async with asyncio.timeout(60):
        while not await answers(artefacts, kept.sha256):
            await asyncio.sleep(0.1)
    assert await artefacts.get(kept.sha256) == b"kept"
    await artefacts.put_file(upload, sha256)
    assert await artefacts.get(sha256) == b"not now"


async def answers(artefacts: S3Artefacts, sha256: str) -> bool:
    try:
        await artefacts.get(sha256)
    except Unavailable:
        return False
    return True


async def test_wrong_keys_are_refused(own_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    with pytest.raises(Unavailable):
        await S3Artefacts(own_s3.url).put(b"nothing")
    with pytest.raises(Unavailable, match=r"refuses a write: [^\n]*$"):
        try_bucket(own_s3.url)
