"""What the artefact folder adds to the contract: durability, atomic names, and leftovers swept up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.artefacts.folder import FolderArtefacts
from adapters.artefacts.store import key

pytestmark = pytest.mark.anyio


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every fsync and rename, in order."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        calls.append(f"rename to {Path(target).name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return calls


async def test_a_file_is_synced_before_it_gets_its_name_and_the_name_before_put_returns(
    tmp_path: Path, syncs: list[str]
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"sound")
    sha256 = hashlib.sha256(b"sound").hexdigest()
    folder = FolderArtefacts(tmp_path / "artefacts")
    await folder.put_file(upload, sha256)
    assert syncs == [
        "sync upload",
        f"rename to {sha256}",
        f"sync {sha256[2:4]}",
        f"sync {sha256[:2]}",
        "sync artefacts",
    ]


async def test_a_file_moves_in_without_a_copy(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"sound")
    inode = upload.stat().st_ino
    sha256 = hashlib.sha256(b"sound").hexdigest()
    await FolderArtefacts(tmp_path / "artefacts").put_file(upload, sha256)
    assert (tmp_path / "artefacts" / key(sha256)).stat().st_ino == inode


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system at /dev/shm")
async def test_a_file_of_another_file_system_is_copied_in(tmp_path: Path) -> None:
    upload = Path(f"/dev/shm/beatledger-test-{os.getpid()}")
    upload.write_bytes(b"sound")
    assert upload.stat().st_dev != tmp_path.stat().st_dev
    sha256 = hashlib.sha256(b"sound").hexdigest()
    artefacts = FolderArtefacts(tmp_path / "artefacts")
    await artefacts.put_file(upload, sha256)
    assert not upload.exists()
    assert names(tmp_path / "artefacts") == [key(sha256)]


async def test_a_second_put_of_the_same_content_writes_nothing(tmp_path: Path) -> None:
    artefacts = FolderArtefacts(tmp_path)
    stored = await artefacts.put(b"once")
    before = (tmp_path / key(stored.sha256)).stat()
    await artefacts.put(b"once")
    after = (tmp_path / key(stored.sha256)).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


async def test_a_file_that_lost_its_content_is_healed_by_the_next_put(tmp_path: Path) -> None:
    artefacts = FolderArtefacts(tmp_path)
    stored = await artefacts.put(b"a genesis map")
    (tmp_path / key(stored.sha256)).write_bytes(b"")
    await artefacts.put(b"a genesis map")
    assert await artefacts.get(stored.sha256) == b"a genesis map"


async def test_a_full_disk_fails_the_put_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefacts = FolderArtefacts(tmp_path)
    write_bytes = Path.write_bytes

    def half_written(self: Path, content: bytes) -> int:
        write_bytes(self, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(OSError, match="No space"):
        await artefacts.put(b"a genesis map")
    assert names(tmp_path) == []


WRITER = """
import asyncio, sys
from pathlib import Path
from adapters.artefacts.folder import FolderArtefacts

async def write_for_ever():
    artefacts = FolderArtefacts(Path(sys.argv[1]))
    print("writing", flush=True)
    for number in range(10**9):
        await artefacts.put(number.to_bytes(8, "big") * 200_000)

asyncio.run(write_for_ever())
"""


def test_a_writer_killed_at_any_moment_leaves_only_whole_files(tmp_path: Path) -> None:
    for delay_s in (0.0, 0.013, 0.05):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd()
        )
        with writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            deadline = time.monotonic() + 30
            while not list(tmp_path.glob("??/??/*")) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(delay_s)
            writer.kill()
    landed = list(tmp_path.glob("??/??/*"))
    assert landed
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in landed)


def test_what_a_killed_writer_left_is_swept_a_day_later_and_not_before(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "old").write_bytes(b"left")
    (staging / "new").write_bytes(b"being written")
    yesterday = time.time() - 25 * 3600
    os.utime(staging / "old", (yesterday, yesterday))
    FolderArtefacts(tmp_path)
    assert names(tmp_path) == ["staging/new"]
