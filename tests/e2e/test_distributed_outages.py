"""A server of the distributed profile away, silent, gone or not there yet: told, waited for, caught up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from analysis.synth import synthesise
from tests.e2e.distributed import SHORT, tracks_of
from tests.servers.audit import audit
from tests.servers.beatledger import ready, upload
from tests.servers.faults import killed, paused
from tests.servers.installation import ROLES, OwnInstallation
from tests.servers.processes import until

pytestmark = pytest.mark.xdist_group("distributed outages")

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
            age = until(lambda: _age(client, path) >= 5 and _age(client, path), 30, "the age of what is read")
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


def test_processes_that_begin_without_their_servers_wait_for_them(own: OwnInstallation) -> None:
    """Two of each role, with Postgres alone; once the others are there all become ready by themselves."""
    names = [*ROLES, *(f"{role}-2" for role in ROLES)]
    for name in [*own.processes]:
        own.kill(name)
    with ExitStack() as servers:
        for server in (own.servers.kafka, own.servers.mongo, own.servers.s3):
            servers.enter_context(killed(server))
        for name in names:
            own.begin(name)
        for name in names:
            own.listening(name)
            until(lambda name=name: _not_ready(own, name), 60, f"{name}'s word on what it lacks")
            assert own.probe(name, "/livez") == 200
    for name in names:
        own.ready(name)
    [[track_id, job_id]] = tracks_of(own, "begun", 1).items()
    with own.client() as client:
        ready(client, track_id)
        renamed = _rename(client, f"/v1/tracks/{track_id}", "begun, renamed")
    audit(own, {"begun, renamed": renamed.json()["position"]}, {track_id: job_id})


def _not_ready(own: OwnInstallation, name: str) -> bool:
    """Say whether it has found its Postgres, and tells what else is away."""
    response = httpx2.get(f"{own.listening(name)}/readyz", timeout=20)
    return response.status_code == 503 and "Postgres" not in response.json()["detail"]
