"""An installation's beginning, in any order, and what its older processes do with a newer one's events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from adapters.postgres.access import Access
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.roles import create_roles
from adapters.postgres.server import EmbeddedPostgres
from domain import ids
from domain.log import NewEvent, Slice
from domain.track.events import AnalysisQueued
from projections.views import VIEWS
from tests.servers import newer
from tests.servers.beatledger import ready, upload
from tests.servers.installation import ROLES, Installation, environment
from tests.servers.ledgers import open_ledger, told_by
from tests.servers.mongo import MongoServer
from tests.servers.postgres import TestServer
from tests.servers.processes import until
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.xdist_group("distributed")


def test_roles_started_before_their_servers_wait_and_become_ready_by_themselves(
    tmp_path: Path, kafka: str, mongo: MongoServer, s3: S3Server
) -> None:
    """First there is no Postgres, then one without a database, then one without tables."""
    folder = DataFolder(tmp_path / "postgres")
    with folder.hold(), mongo.database() as mongo_url:
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        access = postgres.access()
        postgres.stop()
        installation = Installation(environment(tmp_path / "data", access, kafka, mongo_url, s3))
        try:
            for role in ROLES:
                installation.begin(role)
            _waits(installation, "it can't be reached")
            postgres.start()
            create_roles(access)
            _waits(installation, "run `beatledger migrate`")
            installation.migrate()
            for role in ROLES:
                installation.ready(role)
                assert _reasons(installation, role) <= 4, installation.said(role)
            with installation.client("viewer") as client:
                assert client.get("/v1/tracks").json()["items"] == []
        finally:
            for role in [*installation.processes]:
                installation.kill(role)
            postgres.stop()


def _waits(installation: Installation, reason: str) -> None:
    """Every role lives, is not ready, serves nothing, and has said once what it waits for."""
    for role in ROLES:
        url = installation.listening(role)
        assert installation.probe(role, "/livez") == 200
        until(lambda role=role: reason in installation.said(role), 30, f"{role}'s word on it")
        for path in ("/readyz", "/v1/tracks", "/v1/jobs/7:cancel"):
            response = httpx2.get(f"{url}{path}", timeout=10)
            assert (response.status_code, response.json()["code"]) == (503, "not_ready"), path
            assert response.headers["Retry-After"] == "1"


def _reasons(installation: Installation, role: str) -> int:
    return installation.said(role).count("waiting_for_postgres")


@pytest.fixture
def older(
    tmp_path: Path, postgres: TestServer, kafka: str, mongo: MongoServer, s3: S3Server
) -> Iterator[tuple[Installation, Access]]:
    """A running installation of this version."""
    with postgres.database() as access, mongo.database() as mongo_url:
        installation = Installation(environment(tmp_path, access, kafka, mongo_url, s3))
        try:
            installation.migrate()
            installation.start_all()
            yield installation, access
        finally:
            for role in [*installation.processes]:
                installation.kill(role)


def test_events_of_a_newer_writer_wait_for_a_newer_reader(
    older: tuple[Installation, Access], song: bytes
) -> None:
    """Views park the streams, the analysis waits at the event: nothing is skipped, nothing crashes."""
    installation, access = older
    with installation.client() as client:
        blessed, requeued, other = [upload(client, song, title=t).json()["track_id"] for t in "abc"]
        for track_id in (blessed, requeued, other):
            ready(client, track_id)
        job = ids.job_id(UUID(requeued), 2)
        queued = AnalysisQueued(job, 2, "rock", None, "beatledger", 5, "request")
        _append(access, blessed, newer.blessed())
        _append(access, requeued, newer.queued_next(queued))

        renamed = client.patch(f"/v1/tracks/{other}", json={"title": "d"}, headers={"If-Match": "*"})
        wait = {"Consistency-Token": renamed.headers["Consistency-Token"], "Prefer": "wait=20"}
        for path in (f"/v1/tracks/{other}", "/v1/tracks"):
            assert client.get(path, headers=wait).status_code == 200, "other streams go on"
        for track_id in (blessed, requeued):
            assert client.get(f"/v1/tracks/{track_id}").json()["revision"] == 4
        parked = installation.cli("projections", "parked").stdout
        assert "event type track.blessed" in parked
        assert all(parked.count(track_id) == len(VIEWS) for track_id in (blessed, requeued)), parked

        until(lambda: "unknown_event" in installation.said("analysis"), 30, "the word of the analysis")
        waiting = upload(client, song, title="e").json()
        behind = client.get(f"/v1/jobs/{job}")
        assert (behind.status_code, behind.json()["code"]) == (503, "unavailable")

        for role in ("analysis", "projector"):
            assert installation.stop(role) == 0
            installation.begin(role, newer.COMMAND)
        installation.ready("projector")
        replayed = installation.cli("projections", "replay", command=newer.COMMAND)
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr
        assert replayed.stdout.count("healed") == 2 * len(VIEWS)
        ready(client, waiting["track_id"])
        done = until(lambda: client.get(f"/v1/jobs/{job}").json(), 10)
        until(lambda: client.get(f"/v1/jobs/{job}").json()["status"] == "completed", 60, f"the job {done}")
        detail = f"/v1/tracks/{requeued}"
        until(lambda: client.get(detail).json()["versions"]["count"] == 2, 30, "its version")
        assert client.get(f"/v1/tracks/{blessed}").json()["revision"] == 5
    assert blessed not in installation.cli("projections", "parked").stdout


def _append(access: Access, track_id: str, event: NewEvent) -> None:
    async def append() -> None:
        async with open_ledger(access.serving) as ledger:
            slice_ = Slice(UUID(track_id), 4, "track", track_id, (event,))
            await ledger.store.append([slice_], told_by())

    asyncio.run(append())
