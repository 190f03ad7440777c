"""A log of grids as large as they may be is projected, served, paged and exported in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.servers.audio_children import memory_bytes
from tests.servers.beatledger import COMMAND, Beatledger, Served
from tests.servers.large_grids import BEATS, write_into
from tests.servers.processes import until

MOST_BYTES = 400_000_000
BUILT_S = 240.0
"""For the views of one track."""

MEASURE = """
import resource, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) as child:
    lines = sum(1 for _ in child.stdout)
print(lines, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(child.returncode)
"""
"""Prints the number of lines of a command's output and its peak of memory in kB."""

SIZES = [
    pytest.param(1, 300, id="one track", marks=pytest.mark.timeout(900)),
    pytest.param(50, 500, id="fifty tracks", marks=[pytest.mark.soak, pytest.mark.timeout(3 * 3_600)]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Beatledger]:
    up = Beatledger(tmp_path / "data")
    yield up
    up.stop()


@pytest.mark.parametrize(("tracks", "overrides"), SIZES)
def test_large_grids_take_less_than_400_mb_in_each_process(
    folder: Beatledger, tracks: int, overrides: int
) -> None:
    """One process projects and serves: the views are built at its start, then everything is read."""
    streams = write_into(folder.folder, tracks, overrides)
    folder.start(tracks * BUILT_S)
    assert folder.process is not None
    pid = folder.process.pid
    with folder.client() as client:
        for stream in streams:
            until(lambda stream=stream: _built(client, stream, overrides + 1), BUILT_S, f"views of {stream}")
    _report("built", pid)
    _read_all(folder, streams, overrides + 1, lambda what: _report(what, pid))
    _, rebuild_peak = _command(folder, "projections", "rebuild", "genesis_maps")
    _report("rebuilt by another process", pid)
    lines, export_peak = _command(folder, "audit", "export")
    assert lines == tracks * (overrides + 5)
    assert max(memory_bytes({pid}, "VmHWM"), rebuild_peak, export_peak) < MOST_BYTES


def _built(client: httpx2.Client, stream: UUID, versions: int) -> bool:
    """Say whether every view shows the last version."""
    path = f"/v1/tracks/{stream}"
    detail = client.get(path)
    if detail.status_code != 200 or detail.json()["current_version"]["number"] != versions:
        return False
    parts = (f"versions/{versions}", f"beats?version={versions}")
    return [client.get(f"{path}/{part}").status_code for part in parts] == [200, 200]


def _read_all(served: Served, streams: list[UUID], versions: int, report: Callable[[str], None]) -> None:
    """Read everything there is, four clients at a time, and change every track once."""
    with ThreadPoolExecutor(4) as clients:
        assert set(clients.map(lambda s: _history(served, s), streams)) == {versions + 3}
        report("histories")
        assert set(clients.map(lambda s: _versions(served, s), streams)) == {versions}
        report("versions")
        assert set(clients.map(lambda s: _states(served, s, versions), streams)) == {BEATS}
        report("states, differences, commands")
        everything = list(clients.map(lambda _: _lines(served), range(2)))
    assert everything == [len(streams) * (versions + 4)] * 2
    report("all of the log, twice at once")


def _client(served: Served) -> httpx2.Client:
    """Return a client with time for a fold of a whole track beside three others."""
    client = served.client()
    client.timeout = httpx2.Timeout(300.0)
    return client


def _history(served: Served, stream: UUID) -> int:
    with _client(served) as client:
        after, count = 0, 0
        while after is not None:
            page = client.get(f"/v1/tracks/{stream}/history", params={"after": after, "limit": 1000}).json()
            after, count = page["next_after"], count + len(page["items"])
    return count


def _versions(served: Served, stream: UUID) -> int:
    with _client(served) as client:
        numbers: list[int] = []
        asked: dict[str, Any] = {"limit": 200}
        while asked:
            page = client.get(f"/v1/tracks/{stream}/versions", params=asked).json()
            numbers += [version["number"] for version in page["items"]]
            asked = {"limit": 200, "cursor": page["next_cursor"]} if page["next_cursor"] else {}
        assert numbers == list(range(1, len(numbers) + 1))
        for number in numbers[:: max(1, len(numbers) // 10)]:
            beats = client.get(f"/v1/tracks/{stream}/beats", params={"version": number}).json()["beats_ms"]
            assert len(beats) == BEATS
    return len(numbers)


def _states(served: Served, stream: UUID, versions: int) -> int:
    path = f"/v1/tracks/{stream}"
    with _client(served) as client:
        assert client.get(f"{path}/diff", params={"from": 5, "to": versions + 3}).status_code == 200
        state = client.get(f"{path}/state").json()["state"]
        renamed = client.patch(path, json={"title": "another"}, headers={"If-Match": "*"})
        assert renamed.status_code == 200, renamed.text
    return len(state["current"]["beats_ms"])


def _lines(served: Served) -> int:
    with (
        _client(served) as client,
        client.stream("GET", "/v1/events", headers={"Accept": "application/x-ndjson"}) as stream,
    ):
        return sum(chunk.count(b"\n") for chunk in stream.iter_bytes())


def _command(folder: Beatledger, *words: str) -> tuple[int, int]:
    """Run a command; return how many lines it wrote, and its peak of memory in bytes.

    A process of its own starts the command and measures it, because the kernel counts the memory of the
    process that forks into the peak of its child: the test runner's would hide the command's.
    """
    command = [sys.executable, "-c", MEASURE, *COMMAND, *words, "--data-dir", str(folder.folder)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    lines, peak_kb = (int(number) for number in ran.stdout.split())
    sys.stderr.write(f"{' '.join(words)}: {peak_kb / 1e3:.0f} MB at the peak\n")
    return lines, peak_kb * 1024


def _report(what: str, pid: int) -> None:
    now, peak = (memory_bytes({pid}, field) / 1e6 for field in ("VmRSS", "VmHWM"))
    sys.stderr.write(f"{what}: {now:.0f} MB now, {peak:.0f} MB at the peak\n")
