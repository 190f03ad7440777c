"""What is acknowledged stays, whoever is killed: the application, its Postgres, its workers."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.servers.beatledger import Beatledger, ready, upload
from tests.servers.clients import Editor
from tests.servers.processes import until

HELD = {"Idempotency-Key": "held", "If-Match": "*"}


def _check(up: Beatledger, editors: list[Editor]) -> None:
    """Every acknowledged rename is in the log once, at the place it was told; the log has no hole."""
    with up.client("auditor") as client:
        events: list[dict[str, object]] = []
        while page := client.get("/v1/events", params={"after": len(events), "limit": 500}).json()["items"]:
            events += page
    assert [e["position"] for e in events] == list(range(1, len(events) + 1))
    titles = [e["data"]["title"] for e in events if e["type"] == "track.described"]  # type: ignore[index]
    assert len(titles) == len(set(titles)), "a rename was recorded twice"
    for editor in editors:
        for title, position in editor.acknowledged.items():
            assert events[position - 1]["data"]["title"] == title  # type: ignore[index]


def _round(up: Beatledger, song: bytes, seed: int, kills: int) -> None:
    random.seed(seed)
    with up.client() as client:
        tracks = [upload(client, song, title=f"t{n}").json()["track_id"] for n in range(3)]
    editors = [Editor(up, f"editor {seed} {n}", tracks[n % 3]) for n in range(6)]
    for editor in editors:
        editor.start()
    for _ in range(kills):
        time.sleep(random.uniform(0.1, 1.0))
        if random.random() < 0.5:
            up.kill()
            up.start()
        else:
            os.kill(up.postgres_pids()[0], signal.SIGKILL)
    before = {e: len(e.acknowledged) for e in editors}
    until(
        lambda: all(len(e.acknowledged) > before[e] or e.error for e in editors), what="going on", seconds=60
    )
    for editor in editors:
        editor.finish()
    _check(up, editors)
    with up.client() as client:
        for track_id in tracks:
            assert ready(client, track_id)["versions"]["count"] == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_while_clients_write_lose_and_repeat_nothing(own_up: Beatledger, song: bytes, seed: int):
    """The application or its Postgres is killed with SIGKILL three times at seeded moments."""
    _round(own_up, song, seed, kills=3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
def test_fifty_rounds_of_kills(own_up: Beatledger, song: bytes, seed: int):
    """The same with more kills a round, and fifty rounds."""
    _round(own_up, song, seed, kills=5)


def test_a_kill_in_mid_analysis_costs_only_time(own_up: Beatledger, long_song: bytes):
    """The job is taken up again after the restart, and makes one version."""
    with own_up.client() as client:
        answer = upload(client, long_song).json()
        until(
            lambda: client.get(f"/v1/jobs/{answer['job_id']}").json()["status"] == "running", what="the job"
        )
    own_up.kill()
    own_up.start()
    with own_up.client() as client:
        detail = ready(client, answer["track_id"])
        events = client.get(f"/v1/tracks/{answer['track_id']}/history").json()["items"]
    assert detail["versions"]["count"] == 1
    assert [e["type"] for e in events].count("track.analysis_completed") == 1


def test_a_killed_upload_leaves_nothing_behind(own_up: Beatledger, song: bytes):
    """Its staged file is swept at the next start; there is no event."""

    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + song[:300_000]
        until(lambda: list((own_up.folder / "incoming").iterdir()), what="the staged file")
        own_up.kill()
        yield b"more"

    headers = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": f"Bearer {own_up.token()}"}
    with pytest.raises(httpx2.TransportError):
        httpx2.post(f"{own_up.url}/v1/tracks", content=body(), headers=headers, timeout=20)
    own_up.start()
    assert list((own_up.folder / "incoming").iterdir()) == []
    with own_up.client("auditor") as client:
        assert client.get("/v1/events").json()["items"] == []


def _outage(up: Beatledger, song: bytes, seconds: float) -> None:
    """With Postgres stopped every request is answered in time, by 503 and Retry-After; then all goes on."""
    with up.client() as client:
        track_id = upload(client, song).json()["track_id"]
        ready(client, track_id)
        up.signal_postgres(signal.SIGSTOP)
        try:
            until_then = time.monotonic() + seconds
            while time.monotonic() < until_then:
                began = time.monotonic()
                refused = client.patch(f"/v1/tracks/{track_id}", json={"title": "Held"}, headers=HELD)
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                assert int(refused.headers["Retry-After"]) >= 1
                assert client.get(f"/v1/tracks/{track_id}").status_code == 503
                assert client.get("/readyz").status_code == 503
                assert client.get("/livez").status_code == 200
                assert time.monotonic() - began < 25
        finally:
            up.signal_postgres(signal.SIGCONT)
        answer = until(lambda: _renamed(client, track_id), seconds=30, what="the recovery")
        history = client.get(f"/v1/tracks/{track_id}/history").json()["items"]
        assert [e["position"] for e in history if e["type"] == "track.described"] == [answer["position"]]
        # The loops have recovered too: the view shows it, and a new song is analysed.
        until(lambda: client.get(f"/v1/tracks/{track_id}").json().get("title") == "Held", what="the view")
        ready(client, upload(client, song).json()["track_id"])


def _renamed(client: httpx2.Client, track_id: str) -> dict[str, int] | None:
    response = client.patch(f"/v1/tracks/{track_id}", json={"title": "Held"}, headers=HELD)
    return response.json() if response.status_code == 200 else None


def test_postgres_stopped_is_a_503_and_then_a_recovery(own_up: Beatledger, song: bytes):
    _outage(own_up, song, 5.0)


@pytest.mark.soak
def test_postgres_stopped_for_a_minute(own_up: Beatledger, song: bytes):
    _outage(own_up, song, 60.0)


def test_ctrl_c_ends_everything_and_nothing_is_lost(own_up: Beatledger, song: bytes, tmp_path: Path):
    """Exit code 0, no process left, and the next start serves what was there."""
    with own_up.client() as client:
        track_id = upload(client, song).json()["track_id"]
        ready(client, track_id)
    pids = own_up.postgres_pids()
    assert own_up.stop() == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    exported = own_up.cli("audit", "export", "--out", str(tmp_path / "log.ndjson"))
    assert exported.returncode == 0, exported.stderr
    assert len((tmp_path / "log.ndjson").read_text().splitlines()) == 4
    own_up.start()
    with own_up.client() as client:
        assert ready(client, track_id)["revision"] == 4
