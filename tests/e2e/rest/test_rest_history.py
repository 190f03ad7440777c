"""Who changed what, when: a track's history, its past states, differences, and the whole log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import httpx2
import pytest

from adapters.postgres.accounts import PostgresAccounts
from api.rest import models
from api.security.tokens import account_id
from tests.e2e.rest.house import House, ready, upload

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="package")
async def told(working: House) -> str:
    """A track with a history: uploaded, analysed, corrected by somebody else."""
    async with working.client("producer") as paula, working.client("producer", name="Otto") as otto:
        track_id = (await upload(paula, "Told"))["track_id"]
        detail = await ready(paula, track_id)
        response = await otto.put(
            f"/v1/tracks/{track_id}/beat-override",
            json={"edit": "halve", "note": "too many"},
            headers={"If-Match": f'"{detail["revision"]}"', "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
        )
        assert response.status_code == 200, response.text
    return track_id


@pytest.fixture
async def viewer(working: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with working.client("viewer", name="Vera") as found:
        yield found


async def test_the_history_says_who_did_what_and_why(viewer: httpx2.AsyncClient, told: str) -> None:
    page = models.EventPage.model_validate((await viewer.get(f"/v1/tracks/{told}/history")).json())
    assert [(e.revision, e.type, e.actor_name) for e in page.items] == [
        (1, "track.uploaded", "Paula Producer"),
        (2, "track.analysis_queued", "Paula Producer"),
        (3, "track.analysis_started", None),
        (4, "track.analysis_completed", None),
        (5, "track.beat_override_applied", "Otto"),
    ]
    assert page.next_after is None
    uploaded, queued, started, _, corrected = page.items
    assert uploaded.correlation_id == queued.correlation_id == started.correlation_id
    assert started.causation_id == queued.event_id
    assert started.actor == "service:analysis"
    assert corrected.data["note"] == "too many"
    assert corrected.traceparent is not None
    assert corrected.traceparent.split("-")[1] == TRACE


async def test_the_history_is_read_page_by_page(viewer: httpx2.AsyncClient, told: str) -> None:
    path, after, revisions = f"/v1/tracks/{told}/history", 0, list[int]()
    while after is not None:
        page = (await viewer.get(path, params={"after": after, "limit": 2})).json()
        revisions += [event["revision"] for event in page["items"]]
        after = page["next_after"]
    assert revisions == [1, 2, 3, 4, 5]
    beyond = await viewer.get(path, params={"after": 9999})
    assert "-" not in beyond.headers["etag"], "an ETag names no revision the track never had"
    assert (beyond.status_code, beyond.json()) == (200, {"items": [], "next_after": None})


async def test_a_track_is_seen_as_it_was_at_each_revision(viewer: httpx2.AsyncClient, told: str) -> None:
    path = f"/v1/tracks/{told}/state"
    statuses = []
    for revision in range(1, 6):
        state = models.StateShape.model_validate(
            (await viewer.get(path, params={"revision": revision})).json()
        )
        assert state.revision == revision
        statuses.append(state.status)
    assert statuses == ["queued", "queued", "analysing", "ready", "ready"]
    before = (await viewer.get(path, params={"revision": 4})).json()["state"]["current"]
    now = (await viewer.get(path)).json()["state"]["current"]
    assert now["beats_ms"] == before["beats_ms"][::2]
    assert (before["number"], now["number"]) == (1, 2)
    beyond = await viewer.get(path, params={"revision": 6})
    assert (beyond.status_code, beyond.json()["code"]) == (404, "not_found")


async def test_a_track_is_seen_as_it_was_at_a_time(viewer: httpx2.AsyncClient, told: str) -> None:
    """The time of an event includes it; a moment before does not."""
    path = f"/v1/tracks/{told}"
    events = (await viewer.get(f"{path}/history")).json()["items"]
    for event in (events[2], events[4]):
        at = await viewer.get(f"{path}/state", params={"at": event["recorded_at"]})
        assert at.json()["revision"] == event["revision"]
    early = await viewer.get(f"{path}/state", params={"at": "2001-01-01T00:00:00Z"})
    assert (early.status_code, early.json()["code"]) == (404, "not_found")
    for wrong in (
        {"at": "2001-01-01T00:00:00"},
        {"at": "soon"},
        {"at": "1767225600"},
        {"at": "2026-01-01"},
        {"at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
        {"revision": 1, "at": events[0]["recorded_at"]},
    ):
        assert (await viewer.get(f"{path}/state", params=wrong)).status_code == 422


async def test_the_plus_of_a_time_zone_may_come_as_it_is(viewer: httpx2.AsyncClient, told: str) -> None:
    """Nobody who types an address writes %2B."""
    now = (datetime.now(timezone(timedelta(hours=2))) + timedelta(seconds=1)).isoformat(timespec="seconds")
    then = await viewer.get(f"/v1/tracks/{told}/state?at={now}")
    assert (then.status_code, then.json()["revision"]) == (200, 5), then.text


async def test_the_history_of_an_unknown_track_says_that_there_is_no_track(
    viewer: httpx2.AsyncClient,
) -> None:
    unknown = "018f0000-0000-7000-8000-000000000000"
    response = await viewer.get(f"/v1/tracks/{unknown}/history")
    assert (response.status_code, response.json()["detail"]) == (404, f"there is no track {unknown}")


async def test_a_difference_names_each_changed_path(viewer: httpx2.AsyncClient, told: str) -> None:
    response = await viewer.get(f"/v1/tracks/{told}/diff", params={"from": 4, "to": 5})
    diff = models.DiffShape.model_validate(response.json())
    changes = {change.path: change for change in diff.changes}
    assert (changes["latest"].old, changes["latest"].new) == (1, 2)
    grid = changes["current.beats_ms"]
    assert grid.new["count"] == (grid.old["count"] + 1) // 2
    assert grid.new["sha256"] != grid.old["sha256"]
    assert not [path for path in changes if path.startswith(("profile", "machine", "type"))]
    back = (await viewer.get(f"/v1/tracks/{told}/diff", params={"from": 5, "to": 4})).json()["changes"]
    assert {c["path"]: (c["new"], c["old"]) for c in back} == {
        c["path"]: (c["old"], c["new"]) for c in response.json()["changes"]
    }
    birth = (await viewer.get(f"/v1/tracks/{told}/diff", params={"from": 0, "to": 1})).json()["changes"]
    assert {"path": "profile.title", "old": None, "new": "Told"} in birth
    same = (await viewer.get(f"/v1/tracks/{told}/diff", params={"from": 3, "to": 3})).json()["changes"]
    assert same == []
    beyond = await viewer.get(f"/v1/tracks/{told}/diff", params={"from": 1, "to": 77})
    assert beyond.status_code == 404


@pytest.fixture
async def auditor(working: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with working.client("auditor", name="Audrey") as found:
        yield found


async def test_auditors_read_the_log_by_what_they_look_for(
    auditor: httpx2.AsyncClient, working: House, told: str
) -> None:
    otto = f"user:{account_id(working.ports.secret, 'Otto')}"
    response = await auditor.get("/v1/events", params={"stream": told, "actor": otto})
    page = models.EventPage.model_validate(response.json())
    (event,) = page.items
    assert (event.type, event.actor, event.actor_name) == ("track.beat_override_applied", otto, "Otto")

    async def types(**params: str) -> list[str]:
        found = (await auditor.get("/v1/events", params={"stream": told, **params})).json()["items"]
        return [event["type"] for event in found]

    assert await types(type="track.uploaded") == ["track.uploaded"]
    assert len(await types(category="track")) == 5
    assert await types(category="device") == []
    assert await types(correlation_id=str(event.correlation_id)) == ["track.beat_override_applied"]
    assert await types(after=str(event.position)) == []


async def test_the_log_is_read_page_by_page_without_a_hole(auditor: httpx2.AsyncClient, told: str) -> None:
    after, positions = 0, list[int]()
    while after is not None:
        page = (await auditor.get("/v1/events", params={"after": after, "limit": 3})).json()
        positions += [event["position"] for event in page["items"]]
        after = page["next_after"]
    assert positions == list(range(1, len(positions) + 1))
    assert len(positions) >= 5


async def test_the_log_streams_as_lines_without_anybodys_name(auditor: httpx2.AsyncClient, told: str) -> None:
    headers = {"Accept": "application/x-ndjson"}
    response = await auditor.get("/v1/events", params={"stream": told}, headers=headers)
    assert response.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["revision"] for line in lines] == [1, 2, 3, 4, 5]
    assert all("actor_name" not in line for line in lines)
    two = await auditor.get("/v1/events", params={"stream": told, "limit": 2}, headers=headers)
    assert two.text.splitlines() == response.text.splitlines()[:2]


async def test_an_erased_name_is_gone_and_does_not_come_back(
    working: House, auditor: httpx2.AsyncClient
) -> None:
    """The history stays, and so does the account id in it."""
    async with working.client("producer", name="Erna") as erna:
        track_id = (await upload(erna, "By somebody"))["track_id"]
        path = f"/v1/tracks/{track_id}/history"
        before = (await auditor.get(path)).json()["items"][0]
        assert before["actor_name"] == "Erna"
        accounts = working.ports.accounts
        assert isinstance(accounts, PostgresAccounts)
        account = UUID(before["actor"].removeprefix("user:"))
        await accounts.erase(account)
        await accounts.remember(account, "Erna")
        assert (await auditor.get(path)).json()["items"][0] == {**before, "actor_name": None}


@pytest.mark.parametrize(
    "query", ["after=-1", "limit=0", "limit=1001", "after=99999999999999999999", "stream=x", "type=%00"]
)
async def test_a_wrong_question_about_the_log_is_a_422(auditor: httpx2.AsyncClient, query: str) -> None:
    response = await auditor.get(f"/v1/events?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
