"""What is acknowledged stays, whichever process or server of the distributed profile is killed under load."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from analysis.synth import synthesise
from tests.servers.audit import audit
from tests.servers.beatledger import ready, upload
from tests.servers.clients import Client, Editor, Uploader, working
from tests.servers.faults import KILLS, frozen, killed, paused
from tests.servers.installation import OwnInstallation, own_installation
from tests.servers.processes import until

pytestmark = pytest.mark.xdist_group("distributed survival")

SHORT = synthesise("edm", 128.0, 8.0, seed=3, sample_rate=22_050).wav()


@pytest.fixture(scope="module")
def shared(migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnInstallation]:
    with own_installation(migrated_folder, tmp_path_factory.mktemp("own")) as installation:
        yield installation


@pytest.fixture
def own(shared: OwnInstallation) -> OwnInstallation:
    """The module's installation, whole again after the test before."""
    shared.restore()
    return shared


def tracks_of(own: OwnInstallation, name: str, count: int) -> dict[str, str]:
    """Upload that many songs, each with a title of its own; returns the tracks with their jobs."""
    with own.client() as client:
        answers = [upload(client, SHORT, title=f"{name} {n}").json() for n in range(count)]
    return {answer["track_id"]: answer["job_id"] for answer in answers}


def editors_of(own: OwnInstallation, name: str, tracks: dict[str, str], pause_s: float) -> list[Editor]:
    """Return two editors a track: they race for its revisions."""
    return [Editor(own, f"{name}, editor {n} of {track}", track, pause_s) for track in tracks for n in (1, 2)]


def check(own: OwnInstallation, editors: list[Editor], uploaded: dict[str, str]) -> None:
    """The audit, with all that these clients were told."""
    renamed = {title: at for editor in editors for title, at in editor.acknowledged.items()}
    assert renamed
    audit(own, renamed, uploaded)


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


Away = Callable[[Any], AbstractContextManager[None]]
AWAYS = pytest.mark.parametrize("away", [paused, killed], ids=["silent", "gone"])


@AWAYS
def test_without_kafka_commands_are_accepted_and_reads_say_how_old_they_are(
    own: OwnInstallation, away: Away
) -> None:
    name = f"Kafka {away.__name__}"
    [[track_id, job_id]] = tracks_of(own, name, 1).items()
    path = f"/v1/tracks/{track_id}"
    with own.client() as client:
        ready(client, track_id)
        with away(own.servers.kafka):
            renamed = _rename(client, path, f"{name}, renamed")
            assert renamed.status_code == 200, renamed.text
            [[later, later_job]] = tracks_of(own, f"{name}, uploaded", 1).items()
            behind = client.get(f"/v1/jobs/{later_job}", headers={"Prefer": "wait=0"})
            assert (behind.status_code, behind.json()["code"]) == (503, "unavailable")
            assert int(behind.headers["Retry-After"]) >= 1
            assert client.get(f"/v1/jobs/{track_id}", headers={"Prefer": "wait=0"}).status_code == 404
            age = until(lambda: _age(client, path) >= 2 and _age(client, path), 30, "the age of what is read")
            assert client.get(path).json()["title"] == f"{name} 0"
            until(lambda: _age(client, path) > age and _age(client, "/v1/tracks") > age, 30, "its growing")
        until(lambda: client.get(path).json()["title"] == f"{name}, renamed", 60, "the view")
        until(lambda: _age(client, path) == 0, 30, "the end of the age")
        assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "completed"
        ready(client, later)
    audit(own, {f"{name}, renamed": renamed.json()["position"]}, {track_id: job_id, later: later_job})


def _age(client: httpx2.Client, path: str) -> int:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return int(response.headers.get("Age", 0))


def _rename(client: httpx2.Client, path: str, title: str) -> httpx2.Response:
    return client.patch(path, json={"title": title}, headers={"If-Match": "*", "Idempotency-Key": title})


@AWAYS
def test_without_mongodb_commands_are_accepted_and_reads_say_when_to_come_again(
    own: OwnInstallation, away: Away
) -> None:
    name = f"MongoDB {away.__name__}"
    [[track_id, job_id]] = tracks_of(own, name, 1).items()
    path = f"/v1/tracks/{track_id}"
    with own.client() as client:
        ready(client, track_id)
        with away(own.servers.mongo):
            renamed = _rename(client, path, f"{name}, renamed")
            assert renamed.status_code == 200, renamed.text
            [[later, later_job]] = tracks_of(own, f"{name}, uploaded", 1).items()
            for read in (path, "/v1/tracks"):
                _refused(client.get(read))
            until(
                lambda: client.get(f"/v1/jobs/{later_job}").json()["status"] == "completed",
                60,
                "the analysis, which needs no MongoDB",
            )
            assert client.get(f"{path}/history").status_code == 200
            assert own.probe("api") == 503
            assert own.probe("api", "/livez") == 200
        until(lambda: own.probe("api") == 200 and own.probe("projector") == 200, 60, "the recovery")
        until(lambda: client.get(path).json()["title"] == f"{name}, renamed", 60, "the view")
        ready(client, later)
    audit(own, {f"{name}, renamed": renamed.json()["position"]}, {track_id: job_id, later: later_job})


def _refused(response: httpx2.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "unavailable"), response.text
    assert int(response.headers["Retry-After"]) >= 1


@AWAYS
def test_without_postgres_commands_are_refused_and_nothing_is_half_done(
    own: OwnInstallation, away: Away
) -> None:
    name = f"Postgres {away.__name__}"
    [[track_id, job_id]] = tracks_of(own, name, 1).items()
    path = f"/v1/tracks/{track_id}"
    with own.client() as client:
        ready(client, track_id)
        before = client.get(f"{path}/history").json()["items"]
        with away(own.servers.postgres):
            _refused(_rename(client, path, f"{name}, renamed"))
            _refused(upload(client, SHORT, key=name, title=f"{name}, uploaded"))
            for role in ("api", "relay", "projector", "analysis", "rollout"):
                assert own.probe(role) == 503
                assert own.probe(role, "/livez") == 200
        renamed = _until_accepted(lambda: _rename(client, path, f"{name}, renamed"))
        later = _until_accepted(lambda: upload(client, SHORT, key=name, title=f"{name}, uploaded"))
        history = client.get(f"{path}/history").json()["items"]
        # Sent into a silent Postgres it may have been written: then the repetition was answered with it.
        assert [event["type"] for event in history[len(before) :]] == ["track.described"]
        until(lambda: _shown(client, path) == f"{name}, renamed", 60, "the view")
        ready(client, later["track_id"])
        for role in ("api", "relay", "projector", "analysis", "rollout"):
            until(lambda role=role: own.probe(role) == 200, 60, f"the recovery of {role}")
    uploaded = {track_id: job_id, later["track_id"]: later["job_id"]}
    audit(own, {f"{name}, renamed": renamed["position"]}, uploaded)


def _until_accepted(send: Callable[[], httpx2.Response]) -> dict[str, Any]:
    def accepted() -> dict[str, Any] | None:
        response = send()
        if response.status_code == 503:
            return None
        assert response.status_code in (200, 202), response.text
        return response.json()

    return until(accepted, 60, "an answer")


def _shown(client: httpx2.Client, path: str) -> str | None:
    response = client.get(path)
    return response.json()["title"] if response.status_code == 200 else None


def test_without_the_bucket_uploads_are_refused_and_leave_nothing_behind(own: OwnInstallation) -> None:
    """All else goes on; an analysis that needs the audio waits for it, and uses up no attempt."""
    [[track_id, job_id]] = tracks_of(own, "S3", 1).items()
    path = f"/v1/tracks/{track_id}"
    fresh = synthesise("rock", 96.0, 6.0, seed=11, sample_rate=22_050).wav()
    with own.client() as client:
        ready(client, track_id)
        head = _rename(client, path, "S3, before").json()["position"]
        with killed(own.servers.s3):
            _refused(upload(client, fresh, key="S3", title="S3, uploaded"))
            assert list((Path(own.environment["BEATLEDGER_DATA_DIR"]) / "incoming").rglob("*.*")) == []
            assert client.get("/v1/events", params={"after": head}).json()["items"] == []
            renamed = _rename(client, path, "S3, renamed")
            assert renamed.status_code == 200
            again = client.post(f"{path}/analyses")
            assert again.status_code == 202, again.text
            assert own.probe("api") == 503
        later = _until_accepted(lambda: upload(client, fresh, key="S3", title="S3, uploaded"))
        ready(client, later["track_id"])
        job = f"/v1/jobs/{again.json()['job_id']}"
        until(lambda: client.get(job).json()["status"] == "completed", 60, "the second analysis")
    uploaded = {track_id: job_id, later["track_id"]: later["job_id"]}
    audit(own, {"S3, renamed": renamed.json()["position"]}, uploaded)


class Reader(Client):
    """Reads lists and details over and over: nothing may be missing, nothing may become older."""

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
            assert detail.json()["versions"], "a reader saw a partial detail"

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
    """Both views that are read meanwhile; the documents are the same, and no reader saw a part of them."""
    tracks = tracks_of(own, "rebuilt", 3)
    with own.client() as client:
        for track_id in tracks:
            ready(client, track_id)
    editors = editors_of(own, "rebuilt", tracks, 0.02)
    uploader = Uploader(own, "rebuilt, uploader", SHORT, 0.5)
    readers = [Reader(own, f"reader {number}", tracks) for number in (1, 2)]
    with working([*editors, uploader, *readers]):
        for view in ("track_list", "track_detail"):
            rebuilt = own.cli("projections", "rebuild", view)
            assert rebuilt.returncode == 0, rebuilt.stderr
            assert f"{view} is served from generation" in rebuilt.stdout
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
