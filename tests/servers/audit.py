"""The audit of a distributed installation: what its stores hold must all follow from its event store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg

from domain.recorded import Recorded
from projections.views import VIEWS
from tests.servers.installation import OwnInstallation
from tests.servers.ledgers import whole_log
from tests.servers.read_models import ReadSide, open_read_side, shows_the_log, until
from tests.servers.relays import holds_the_log, relayed

SETTLED_S = 120.0
"""The longest wait until all that was accepted has taken effect: leases of killed workers, backoffs."""


@dataclass(frozen=True)
class Audited:
    """What an audit counted."""

    events: int
    repetitions: int
    """Records that stand in Kafka more than once."""
    renames: int
    uploads: int


def audit(installation: OwnInstallation, renamed: Mapping[str, int], uploaded: Mapping[str, str]) -> Audited:
    """Wait until all is quiet, then compare everything with the event store; nobody may write meanwhile.

    `renamed` are acknowledged titles with their positions, `uploaded` accepted tracks with their jobs.
    """
    return asyncio.run(_audit(installation, renamed, uploaded))


async def _audit(
    installation: OwnInstallation, renamed: Mapping[str, int], uploaded: Mapping[str, str]
) -> Audited:
    servers = installation.servers
    async with open_read_side(servers.postgres, mongo_url=servers.mongo.url) as side:
        await _settled(side, servers.postgres.superuser)
        log = await whole_log(side.events)
        _every_command_once(log, renamed)
        _every_upload_ended(log, uploaded)
        _jobs_agree(servers.postgres.superuser, log)
        for view in VIEWS:
            standing = await side.store.standing(view.name)
            assert standing is not None
            assert await side.store.parked(standing.generation) == []
        await shows_the_log(side)
        repetitions = await holds_the_log(side.ledger, servers.kafka.bootstrap)
    return Audited(len(log), repetitions, len(renamed), len(uploaded))


async def _settled(side: ReadSide, conninfo: str) -> None:
    """Wait until no job is on its way, and relay and views have reached the log's end."""

    async def no_job_open() -> bool:
        return not await asyncio.to_thread(_open_jobs, conninfo)

    async def all_seen() -> bool:
        return all(s.generation and s.lag_events == 0 for s in await side.views.status())

    # In this order: the end of a job is an event, which has to be relayed and seen.
    await until(no_job_open, SETTLED_S)
    await relayed(side.ledger, SETTLED_S)
    await until(all_seen, SETTLED_S)


def _open_jobs(conninfo: str) -> int:
    """Count the analyses that were queued and did not end, by the streams and by the rows."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(*) FROM ledger WHERE type = 'track.analysis_queued')
                - (SELECT count(*) FROM ledger
                   WHERE type IN ('track.analysis_completed', 'track.analysis_abandoned'))
                + (SELECT count(*) FROM analysis_jobs WHERE status NOT IN ('completed', 'dead', 'cancelled'))
            """
        ).fetchone()
    assert row is not None
    return int(row[0])


def _every_command_once(log: list[Recorded], renamed: Mapping[str, int]) -> None:
    """The log has no hole, and each acknowledged rename stands in it once, at the place that was told."""
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    revisions: dict[UUID, int] = {}
    for event in log:
        assert event.revision == revisions.get(event.stream, 0) + 1, "a stream has a gap"
        revisions[event.stream] = event.revision
    titles = Counter(event.data["title"] for event in log if event.type == "track.described")
    assert [title for title, count in titles.items() if count > 1] == [], "recorded twice"
    for title, position in renamed.items():
        assert log[position - 1].data["title"] == title


def _every_upload_ended(log: list[Recorded], uploaded: Mapping[str, str]) -> None:
    """Each accepted upload has one track; each of its analyses ended once, as one version."""
    ended: dict[str, list[Recorded]] = {job_id: [] for job_id in uploaded.values()}
    for event in log:
        if event.type in ("track.analysis_completed", "track.analysis_abandoned"):
            ended.setdefault(event.data["job_id"], []).append(event)
    titles = Counter(event.data["title"] for event in log if event.type == "track.uploaded")
    assert [title for title, count in titles.items() if count > 1] == [], "uploaded twice"
    for track_id, job_id in uploaded.items():
        ends = ended[job_id]
        assert len(ends) == 1, f"job {job_id} of track {track_id} ended {len(ends)} times"
        assert str(ends[0].stream) == track_id
    versions = Counter(
        (event.stream, event.data["version"]) for event in log if event.type == "track.analysis_completed"
    )
    assert set(versions.values()) <= {1}, "two analyses made the same version"


def _jobs_agree(conninfo: str, log: list[Recorded]) -> None:
    """The queue's rows say what the streams say."""
    ends = {"track.analysis_completed": {"completed"}, "track.analysis_abandoned": {"dead", "cancelled"}}
    said = {event.data["job_id"]: ends[event.type] for event in log if event.type in ends}
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT job_id, status FROM analysis_jobs").fetchall()
    assert {str(job_id) for job_id, _ in rows} == set(said)
    assert all(status in said[str(job_id)] for job_id, status in rows)
