"""What every artefact store must do; a store is added by naming its factory below."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.artefacts.folder import FolderArtefacts
from adapters.artefacts.s3 import S3Artefacts
from adapters.artefacts.store import HashMismatch
from commands.ports import Artefacts
from domain.errors import NotFound
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.anyio

ABSENT = hashlib.sha256(b"never stored").hexdigest()


@pytest.fixture(params=["folder", "s3"])
def artefacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artefacts:
    """An empty store. In the bucket that is a prefix of its own."""
    if request.param == "folder":
        return FolderArtefacts(tmp_path / "artefacts")
    server: S3Server = request.getfixturevalue("s3")
    return S3Artefacts(f"{server.url}/{uuid4().hex}")


def file_of(content: bytes, path: Path) -> tuple[Path, str]:
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


async def collected(artefacts: Artefacts, sha256: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in artefacts.stream(sha256, start, end)])


async def test_what_was_put_is_named_by_its_hash_and_comes_back(artefacts: Artefacts) -> None:
    stored = await artefacts.put(b"a genesis map")
    assert stored.sha256 == hashlib.sha256(b"a genesis map").hexdigest()
    assert stored.bytes == 13
    assert await artefacts.get(stored.sha256) == b"a genesis map"
    assert await artefacts.size(stored.sha256) == 13


async def test_nothing_at_all_can_be_stored_too(artefacts: Artefacts) -> None:
    stored = await artefacts.put(b"")
    assert await artefacts.size(stored.sha256) == 0
    assert await artefacts.get(stored.sha256) == b""
    assert await collected(artefacts, stored.sha256) == b""


async def test_the_same_content_put_again_is_the_same_artefact(artefacts: Artefacts) -> None:
    assert await artefacts.put(b"twice") == await artefacts.put(b"twice")


async def test_writers_of_the_same_content_at_once_all_succeed(artefacts: Artefacts) -> None:
    content = bytes(300_000)
    stored = await asyncio.gather(*(artefacts.put(content) for _ in range(20)))
    assert {each.sha256 for each in stored} == {hashlib.sha256(content).hexdigest()}
    assert await artefacts.get(stored[0].sha256) == content


async def test_a_file_is_moved_in(artefacts: Artefacts, tmp_path: Path) -> None:
    path, sha256 = file_of(b"sound" * 100_000, tmp_path / "upload")
    stored = await artefacts.put_file(path, sha256)
    assert (stored.sha256, stored.bytes) == (sha256, 500_000)
    assert not path.exists()
    assert await artefacts.get(sha256) == b"sound" * 100_000


async def test_a_file_whose_content_is_there_already_is_taken_as_well(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    await artefacts.put(b"known")
    path, sha256 = file_of(b"known", tmp_path / "upload")
    assert (await artefacts.put_file(path, sha256)).bytes == 5
    assert not path.exists()


async def test_a_file_that_is_not_what_its_hash_says_is_refused_and_left(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    path, _ = file_of(b"damaged", tmp_path / "upload")
    with pytest.raises(HashMismatch):
        await artefacts.put_file(path, ABSENT)
    assert path.read_bytes() == b"damaged"
    with pytest.raises(NotFound):
        await artefacts.size(ABSENT)


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 1), (7, 11), (2_500_000, None), (1_048_570, 1_048_590), (0, 9_999_999)]
)
async def test_a_range_is_streamed_as_a_slice_would_be(
    artefacts: Artefacts, start: int, end: int | None
) -> None:
    content = bytes(range(256)) * 10_000
    stored = await artefacts.put(content)
    assert await collected(artefacts, stored.sha256, start, end) == content[start:end]


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 3), (13, None), (99, 120)])
async def test_an_empty_range_streams_nothing(artefacts: Artefacts, start: int, end: int | None) -> None:
    stored = await artefacts.put(b"a genesis map")
    assert await collected(artefacts, stored.sha256, start, end) == b""


async def test_a_long_artefact_comes_in_chunks(artefacts: Artefacts) -> None:
    stored = await artefacts.put(bytes(3_000_000))
    sizes = [len(chunk) async for chunk in artefacts.stream(stored.sha256)]
    assert len(sizes) > 1
    assert sum(sizes) == 3_000_000


async def test_content_is_fetched_to_a_local_path(artefacts: Artefacts, tmp_path: Path) -> None:
    stored = await artefacts.put(b"x" * 2_500_000)
    await artefacts.fetch_to(stored.sha256, tmp_path / "audio")
    assert (tmp_path / "audio").read_bytes() == b"x" * 2_500_000


async def test_what_is_not_there_is_not_found(artefacts: Artefacts, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await artefacts.get(ABSENT)
    with pytest.raises(NotFound):
        await artefacts.size(ABSENT)
    with pytest.raises(NotFound):
        await collected(artefacts, ABSENT)
    with pytest.raises(NotFound):
        await artefacts.fetch_to(ABSENT, tmp_path / "audio")
    assert not list(tmp_path.glob("*audio*"))


@pytest.mark.parametrize("name", ["", "../secret", "A" * 64, "a" * 63, "aa/bb/" + "a" * 58])
async def test_what_is_no_hash_is_not_found(artefacts: Artefacts, name: str) -> None:
    with pytest.raises(NotFound):
        await artefacts.get(name)


async def test_deleted_content_is_gone_and_deleting_it_again_is_free(artefacts: Artefacts) -> None:
    stored = await artefacts.put(b"personal")
    await artefacts.delete(stored.sha256)
    with pytest.raises(NotFound):
        await artefacts.get(stored.sha256)
    await artefacts.delete(stored.sha256)
    await artefacts.delete(ABSENT)
    assert (await artefacts.put(b"personal")).bytes == 8
    assert await artefacts.get(stored.sha256) == b"personal"
