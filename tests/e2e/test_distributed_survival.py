"""What is acknowledged stays, whichever process or server of the distributed profile is killed under load."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx2
import psycopg
import pytest

from projections.views import VIEWS
from tests.e2e.distributed import SHORT, check, editors_of, tracks_of
from tests.servers.beatledger import ready, upload
from tests.servers.clients import Client, Editor, Uploader, working
from tests.servers.faults import KILLS, frozen
from tests.servers.installation import OwnInstallation
from tests.servers.processes import until

pytestmark = pytest.mark.xdist_group("distributed survival")


def test_kills_of_every_part_under_load_lose_and_repeat_nothing(own: OwnInstallation) -> None:
    """Three rounds; in each every process but the rollout, Kafka and MongoDB are killed at random moments."""
    tracks = tracks_of(own, "killed", 3)
    editors = editors_of(own, "killed", tracks, 0.05)
    uploader = Uploader(own, "killed, uploader", SHORT, 0.3)
    with working([*editors, uploader]):
        for seed in (1, 2, 3):
            chance = random.Random(seed)
            for name in chance.sample(sorted(KILLS), len(KILLS)):
                time.sleep(chance.uniform(0.1, 1.0))
                KILLS[name](own, chance)
        own.restore()
    check(own, editors, tracks | uploader.accepted)


class Watcher(threading.Thread):
    """Looks at the relay's checkpoint all the time: it must never go back."""

    def __init__(self, own: OwnInstallation) -> None:
        super().__init__(daemon=True)
        self.position, self.went_back = 0, False
        self._conninfo = own.servers.postgres.serving
        self._stopping = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            while not self._stopping.wait(0.01):
                row = connection.execute("SELECT position FROM kafka_relay").fetchone()
                assert row is not None
                self.went_back |= row[0] < self.position
                self.position = row[0]

    @contextmanager
    def watching(self) -> Generator[Watcher]:
        self.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self.join(30)
        assert not self.went_back, "the checkpoint went back"

    def moves(self, events: int = 10) -> None:
        """Wait until the checkpoint has moved on by so many events."""
        wanted = self.position + events
        until(lambda: self.position >= wanted, 60, "the relay's going on")


def leads(own: OwnInstallation, name: str) -> bool:
    answer = httpx2.get(f"{own.listening(name)}/readyz", timeout=10)
    return answer.status_code == 200 and answer.json()["checks"]["relay"].startswith("leads")


def test_another_relay_goes_on_when_the_leader_is_killed_or_frozen(own: OwnInstallation) -> None:
    """One leads; what it leaves undone the other does within seconds, and waking up it leads no more."""
    tracks = tracks_of(own, "relayed", 2)
    editors = editors_of(own, "relayed", tracks, 0.05)
    own.start("relay-2")
    with Watcher(own).watching() as checkpoint, working(editors):
        until(lambda: leads(own, "relay"), what="a leader")
        assert not leads(own, "relay-2")
        own.kill("relay")
        until(lambda: leads(own, "relay-2"), 30, "another leader")
        checkpoint.moves()
        own.start("relay")
        with frozen(own, "relay-2"):
            until(lambda: leads(own, "relay"), 30, "another leader")
            checkpoint.moves()
        until(lambda: not leads(own, "relay-2") and own.probe("relay-2") == 200, 30, "its stepping back")
        assert leads(own, "relay")
        checkpoint.moves()
    check(own, editors, tracks)


def test_projectors_that_come_and_go_in_mid_batch_leave_the_same_documents(own: OwnInstallation) -> None:
    """Two share four partitions under load: one joins, is killed, joins, leaves; then the first goes."""
    tracks = tracks_of(own, "projected", 6)
    editors = editors_of(own, "projected", tracks, 0.0)
    with working(editors):
        own.start("projector-2")
        own.kill("projector-2")
        own.start("projector-2")
        assert own.stop("projector-2") == 0
        own.start("projector-2")
        own.kill("projector")
        _seen(own, editors[0])
        own.begin("projector")
    check(own, editors, tracks)


def _seen(own: OwnInstallation, editor: Editor) -> None:
    """Wait until readers see what this editor was told by now."""
    at = len(editor.acknowledged)
    with own.client(name=editor.label) as client:
        until(lambda: len(editor.acknowledged) > at + 1, 60, "another rename")
        title = [*editor.acknowledged][-1]
        headers = {"Idempotency-Key": title, "If-Match": "*"}
        path = f"/v1/tracks/{editor.track_id}"
        again = client.patch(path, json={"title": title}, headers=headers)
        assert again.headers["Idempotent-Replayed"] == "true", again.text
        wait = {"Consistency-Token": again.headers["Consistency-Token"], "Prefer": "wait=30"}
        assert client.get(path, headers=wait).status_code == 200


class Reader(Client):
    """Reads all there is over and over: nothing may be missing, nothing may become older."""

    def __init__(self, own: OwnInstallation, name: str, tracks: dict[str, str]) -> None:
        super().__init__(own, name)
        self.tracks = tracks
        self.seen: dict[str, int] = {}

    def step(self, number: int) -> None:
        listed = {row["track_id"]: row for row in self._pages()}
        assert self.tracks.keys() <= listed.keys(), "a reader saw a partial list"
        for track_id in self.tracks:
            self._not_older(f"list {track_id}", listed[track_id]["revision"])
            detail = self.http.get(f"/v1/tracks/{track_id}")
            assert detail.status_code == 200, detail.text
            self._not_older(f"detail {track_id}", detail.json()["revision"])
            assert detail.json()["versions"]["count"], "a reader saw a partial detail"
            for part in ("beats", "versions/1/genesis-map", "versions/1/manifest"):
                found = self.http.get(f"/v1/tracks/{track_id}/{part}")
                assert found.status_code == 200, f"a reader saw no {part}: {found.text}"

    def _pages(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.http.get("/v1/tracks", params={"limit": 7, **cursor})
            if page.status_code == 410:  # the view was switched between two pages
                return self._pages()
            assert page.status_code == 200, page.text
            rows += page.json()["items"]
            if page.json()["next_cursor"] is None:
                return rows
            cursor = {"cursor": page.json()["next_cursor"]}

    def _not_older(self, what: str, revision: int) -> None:
        assert revision >= self.seen.get(what, 0), f"{what} became older"
        self.seen[what] = revision


def test_a_rebuild_while_commands_keep_coming_is_seen_by_nobody(own: OwnInstallation) -> None:
    """Every view, one after the other; the documents are the same, and no reader saw a part of them."""
    tracks = tracks_of(own, "rebuilt", 3)
    with own.client() as client:
        for track_id in tracks:
            ready(client, track_id)
    editors = editors_of(own, "rebuilt", tracks, 0.02)
    uploader = Uploader(own, "rebuilt, uploader", SHORT, 0.5)
    readers = [Reader(own, f"reader {number}", tracks) for number in (1, 2)]
    with working([*editors, uploader, *readers]):
        for view in VIEWS:
            rebuilt = own.cli("projections", "rebuild", view.name)
            assert rebuilt.returncode == 0, rebuilt.stderr
            assert f"{view.name} is served from generation" in rebuilt.stdout
    check(own, editors, tracks | uploader.accepted)


def test_told_to_stop_each_role_ends_in_order_and_hands_back_what_it_holds(
    own: OwnInstallation, long_song: bytes
) -> None:
    """Exit code 0 under load; the analysis in hand goes on elsewhere at once, as the same attempt."""
    tracks = tracks_of(own, "stopped", 2)
    editors = editors_of(own, "stopped", tracks, 0.05)
    with own.client() as client:
        long = upload(client, long_song, title="stopped, long").json()
        job = f"/v1/jobs/{long['job_id']}"
        until(lambda: client.get(job).json().get("status") == "running", 60, "the long analysis")
    with working(editors):
        own.start("analysis-2")
        for role in ("analysis", "relay", "projector", "rollout", "api"):
            assert own.stop(role) == 0, role
            if role != "analysis":
                own.start(role)
        with own.client() as client:
            ready(client, long["track_id"], 120)
            history = client.get(f"/v1/tracks/{long['track_id']}/history").json()["items"]
    assert [event["type"] for event in history] == [
        "track.uploaded",
        "track.analysis_queued",
        "track.analysis_started",
        "track.analysis_completed",
    ]
    check(own, editors, {**tracks, long["track_id"]: long["job_id"]})
