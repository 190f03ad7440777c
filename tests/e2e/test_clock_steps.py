"""The database's clock steps: three days ahead for one event and right again, and back by an hour.

Postgres runs under libfaketime (Debian package `faketime`, which .ci/run installs).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from analysis.synth import synthesise
from tests.servers.beatledger import Beatledger, ready, upload
from tests.servers.processes import until

SOON_S = 30.0
"""Far below the hour or the days that the clock steps, far above an analysis on a busy machine."""


def _library() -> Path | None:
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


_SETPRIV = """#!/bin/sh
for word do
    shift
    if [ "$word" = -- ]; then set -- "$@" -- env LD_PRELOAD={library}; else set -- "$@" "$word"; fi
done
exec {setpriv} "$@"
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beatledger]:
    library = _library()
    if library is None:
        pytest.skip("libfaketime is missing: install the Debian package faketime")
    # Postgres is started through setpriv. Ours lets it, after the change of user, read $FAKETIME's clock.
    setpriv = shutil.which("setpriv")
    wrapper = tmp_path / "bin" / "setpriv"
    wrapper.parent.mkdir()
    wrapper.write_text(_SETPRIV.format(library=library, setpriv=setpriv))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKETIME", "+0")
    monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")
    beatledger = Beatledger(tmp_path / "data")
    yield beatledger
    if beatledger.process is not None:
        beatledger.kill()


def _start(house: Beatledger, ahead: str) -> httpx2.Client:
    os.environ["FAKETIME"] = ahead
    house.start(60.0)
    return house.client()


def _analysed(client: httpx2.Client, seed: int) -> str:
    recording = synthesise("edm", 128, 12 + seed).wav()
    answer = upload(client, recording, title=f"Song {seed}")
    assert answer.status_code == 202, answer.text
    track = answer.json()["track_id"]
    ready(client, track, SOON_S)
    return track


def _is_analysed_once(client: httpx2.Client, track: str) -> None:
    history = client.get(f"/v1/tracks/{track}/history").json()["items"]
    types = [event["type"] for event in history]
    assert types.count("track.analysis_completed") == 1, types
    assert types.count("track.analysis_failed") == 0, types


@pytest.mark.parametrize("ahead", [timedelta(days=3), timedelta(hours=1)], ids=["three days", "an hour"])
def test_uploads_are_analysed_at_once_after_the_clock_was_ahead(house: Beatledger, ahead: timedelta) -> None:
    """Nothing runs twice, and everybody is told: readiness, the list of jobs, and states as of a time."""
    with _start(house, "+0") as client:
        before = _analysed(client, 0)
    house.stop()
    with _start(house, f"+{int(ahead.total_seconds())}") as client:
        during = _analysed(client, 1)
    house.stop()
    with _start(house, "+0") as client:
        after = _analysed(client, 2)
        for track in (before, during, after):
            _is_analysed_once(client, track)
        _everybody_is_told(house, client, before, after, ahead)
    assert house.stop() == 0


def _everybody_is_told(
    house: Beatledger, client: httpx2.Client, before: str, after: str, ahead: timedelta
) -> None:
    said = client.get("/readyz").json()["checks"]["event store"]
    assert "clock is" in said, said
    assert "behind the log" in said, said
    listed = house.cli("jobs", "list")
    assert "behind the log" in listed.stderr, listed.stderr
    warned = until(lambda: house.process and "clock.behind_log" in "".join(house.process.output), 20.0)
    assert warned
    now = datetime.now(UTC)
    old = client.get(f"/v1/tracks/{before}/state", params={"at": now.isoformat()}).json()
    assert old["status"] == "ready"
    assert old["clock_behind_log_s"] == pytest.approx(ahead.total_seconds(), abs=600)
    unseen = client.get(f"/v1/tracks/{after}/state", params={"at": now.isoformat()})
    assert unseen.status_code == 404
    assert "behind the log" in unseen.json()["detail"]
    last = client.get(f"/v1/tracks/{after}/state").json()
    seen = client.get(f"/v1/tracks/{after}/state", params={"at": last["recorded_at"]})
    assert seen.status_code == 200, seen.text
    assert (seen.json()["revision"], seen.json()["as_of"]) == (last["revision"], last["recorded_at"])
