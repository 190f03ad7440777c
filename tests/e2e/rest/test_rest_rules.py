"""The rules that hold everywhere: roles, conditions, idempotency, waiting, traces, jobs, health, pages."""

from __future__ import annotations

import asyncio
import gzip
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from adapters.postgres.accounts import PostgresAccounts
from api.application import create_api
from api.rest import models
from api.rest.jobs import MAX_PATIENCE_S
from api.security.principal import PersonRole
from api.security.tokens import account_id, mint
from api.services import Services
from domain.consistency import decode_token, encode_token
from domain.errors import Unavailable
from tests.e2e.rest.house import House, until, upload

pytestmark = pytest.mark.anyio

UNKNOWN = "018f0000-0000-7000-8000-000000000000"
TRACK = f"/v1/tracks/{UNKNOWN}"
READS = ["/v1/tracks", TRACK, f"{TRACK}/beats", f"{TRACK}/history", f"{TRACK}/state", "/v1/jobs"]
WRITES = [
    ("POST", "/v1/tracks"),
    ("PATCH", TRACK),
    ("POST", f"{TRACK}:archive"),
    ("POST", f"{TRACK}/analyses"),
    ("POST", f"{TRACK}/reference"),
    ("PUT", f"{TRACK}/beat-override"),
    ("DELETE", f"{TRACK}/beat-override"),
    ("POST", f"/v1/jobs/{UNKNOWN}:cancel"),
    ("POST", f"/v1/jobs/{UNKNOWN}:requeue"),
]
BODIES = {"PATCH": {"json": {}}, "PUT": {"json": {"edit": "double"}}}


@pytest.mark.parametrize(
    ("role", "reads", "writes", "audits"),
    [
        ("viewer", True, False, False),
        ("operator", True, False, False),
        ("auditor", True, False, True),
        ("producer", True, True, False),
        ("admin", True, True, True),
    ],
)
async def test_a_role_may_what_it_is_for(
    idle: House, role: PersonRole, reads: bool, writes: bool, audits: bool
) -> None:
    async with idle.client(role, Prefer="wait=0") as client:
        for path in READS:
            assert ((await client.get(path)).status_code != 403) is reads, path
        for method, path in WRITES:
            response = await client.request(method, path, **BODIES.get(method, {}))
            assert (response.status_code != 403) is writes, f"{method} {path}"
            assert writes or response.json()["code"] == "forbidden"
        assert ((await client.get("/v1/events")).status_code == 200) is audits


async def test_without_a_token_nothing_of_v1_answers_not_even_about_the_body(idle: House) -> None:
    async with idle.client() as client:
        for method, path in [*(("GET", path) for path in [*READS, "/v1/events"]), *WRITES]:
            response = await client.request(
                method, path, content=b"{", headers={"Content-Type": "application/json"}
            )
            assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), path
            assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcg==", "Bearer x.y.z", "bearer é"])
async def test_what_is_no_token_is_no_token(idle: House, header: str) -> None:
    async with idle.client() as client:
        response = await client.get("/v1/tracks", headers={b"Authorization": header.encode()})
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


async def test_a_token_of_yesterday_says_so(idle: House) -> None:
    old = mint(idle.ports.secret, "Ada", ["viewer"], timedelta(minutes=1), clock=lambda: 1_000_000.0)
    async with idle.client() as client:
        response = await client.get("/v1/tracks", headers={"Authorization": f"Bearer {old}"})
        assert (response.status_code, response.json()["code"]) == (401, "token_expired")


async def made(client: httpx2.AsyncClient, title: str) -> tuple[str, httpx2.Response]:
    """Upload a track and return its address and its detail."""
    path = f"/v1/tracks/{(await upload(client, title))['track_id']}"

    async def found() -> httpx2.Response | None:
        # With both events of the upload: a reader may see the first alone for a moment.
        response = await client.get(path)
        return response if response.json().get("revision") == 2 else None

    return path, await until(found)


async def test_what_a_client_has_is_not_sent_again(idle: House) -> None:
    async with idle.client("producer") as client:
        path, detail = await made(client, "Kept")
        headers = {"If-None-Match": detail.headers["etag"]}
        assert detail.headers["etag"].startswith(f'"{detail.json()["revision"]}-')
        known = await client.get(path, headers=headers)
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"] == detail.headers["etag"]
        await client.patch(path, json={"title": "Changed"}, headers={"If-Match": "*"})
        await until(lambda: _changed(client, path, headers))

        async def kept() -> bool:
            # The list is another view, which may show the change a moment later.
            listed = await client.get("/v1/tracks")
            again = await client.get("/v1/tracks", headers={"If-None-Match": listed.headers["etag"]})
            return again.status_code == 304

        await until(kept)


async def _changed(client: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> bool:
    return (await client.get(path, headers=headers)).status_code == 200


async def test_a_change_needs_to_say_what_it_has_seen(idle: House) -> None:
    async with idle.client("producer") as client:
        path, detail = await made(client, "Seen")
        for method, address in (("PATCH", path), ("PUT", f"{path}/beat-override")):
            blind = await client.request(method, address, **BODIES[method])
            assert (blind.status_code, blind.json()["code"]) == (428, "if_match_required")
            wrong = await client.request(method, address, **BODIES[method], headers={"If-Match": "3"})
            assert (wrong.status_code, wrong.json()["code"]) == (422, "if_match")
        first = await client.patch(path, json={"title": "A"}, headers={"If-Match": detail.headers["etag"]})
        assert first.status_code == 200
        stale = await client.patch(path, json={"title": "B"}, headers={"If-Match": detail.headers["etag"]})
        assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
        onward = await client.patch(path, json={"title": "C"}, headers={"If-Match": first.headers["etag"]})
        assert onward.status_code == 200
        stale = await client.post(f"{path}:archive", headers={"If-Match": detail.headers["etag"]})
        assert stale.status_code == 412


async def test_an_etag_that_a_proxy_rewrote_still_names_its_revision(idle: House) -> None:
    """One that compresses makes it weak; a client with two copies sends both."""
    async with idle.client("producer") as client:
        path, detail = await made(client, "Proxied")
        never = f'"{"0a" * 32}"'
        wrong = await client.patch(path, json={"title": "A"}, headers={"If-Match": never})
        assert (wrong.status_code, wrong.json()["code"]) == (412, "stale_revision")
        weak = await client.patch(
            path, json={"title": "A"}, headers={"If-Match": f"W/{detail.headers['etag']}"}
        )
        assert weak.status_code == 200, weak.text
        both = {"If-Match": f"{never}, {detail.headers['etag']}, {weak.headers['etag']}"}
        assert (await client.patch(path, json={"title": "B"}, headers=both)).status_code == 200


async def test_of_two_changes_at_once_of_the_same_revision_one_is_refused(idle: House) -> None:
    async with idle.client("producer") as client:
        path, detail = await made(client, "Raced")
        headers = {"If-Match": detail.headers["etag"]}
        answers = await asyncio.gather(
            *(client.patch(path, json={"title": f"T{n}"}, headers=headers) for n in range(5))
        )
        assert sorted(a.status_code for a in answers) == [200, 412, 412, 412, 412]


async def test_a_repeated_key_gives_the_first_answer(idle: House) -> None:
    """Also after the resource has moved on, and only to the same person, on the same route."""
    async with idle.client("producer") as client, idle.client("producer", name="Otto") as otto:
        path, detail = await made(client, "Keyed")
        once = {"Idempotency-Key": "k1", "If-Match": detail.headers["etag"]}
        first = await client.patch(path, json={"title": "One"}, headers=once)
        again = await client.patch(path, json={"title": "One"}, headers=once)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["consistency-token"] == first.headers["consistency-token"]
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        other = await client.patch(path, json={"title": "Two"}, headers=once)
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
        theirs = await otto.patch(path, json={"title": "Two"}, headers={**once, "If-Match": "*"})
        assert theirs.status_code == 200
        archived = await client.post(f"{path}:archive", headers={"Idempotency-Key": "k1"})
        assert archived.status_code == 200


async def test_a_query_waits_for_what_a_command_did(idle: House) -> None:
    async with idle.client("producer") as client:
        path, _ = await made(client, "Waited for")
        for number in range(5):
            answer = await client.patch(path, json={"title": f"T{number}"}, headers={"If-Match": "*"})
            wait = {"Consistency-Token": answer.headers["consistency-token"], "Prefer": "wait=5"}
            assert (await client.get(path, headers=wait)).json()["title"] == f"T{number}"


async def test_a_wait_that_runs_out_says_how_far_the_view_is(idle: House) -> None:
    async with idle.client("producer") as client:
        path, _ = await made(client, "Waited in vain")
        answer = await client.patch(path, json={"title": "T"}, headers={"If-Match": "*"})
        ahead = {shard: at + 1000 for shard, at in decode_token(answer.headers["consistency-token"]).items()}
        future = {"Consistency-Token": encode_token(ahead)}
        late = await client.get(path, headers={**future, "Prefer": "wait=0.1"})
        assert (late.status_code, late.json()["code"]) == (503, "view_behind")
        assert late.headers["retry-after"] == "1"
        assert "has reached position" in late.json()["detail"]
        assert (await client.get(path, headers=future)).status_code == 200, "without Prefer: at once"
        broken = await client.get(path, headers={"Consistency-Token": "%%%", "Prefer": "wait=1"})
        assert (broken.status_code, broken.json()["code"]) == (422, "consistency_token")


async def test_every_answer_has_its_trace(idle: House) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "mine-1"}
    async with idle.client("viewer") as client:
        for path, status in (("/v1/tracks", 200), (TRACK, 404), ("/nowhere", 404), ("/livez", 200)):
            response = await client.get(path, headers=headers)
            assert response.status_code == status
            assert (response.headers["trace-id"], response.headers["x-request-id"]) == (trace, "mine-1")
            assert status == 200 or response.json()["trace_id"] == trace
        assert len((await client.get("/livez")).headers["trace-id"]) == 32


async def test_a_queued_job_is_seen_cancelled_and_requeued(idle: House) -> None:
    async with idle.client("producer") as client:
        answer = await upload(client, "Queued", priority="0")
        job_path, track_path = f"/v1/jobs/{answer['job_id']}", f"/v1/tracks/{answer['track_id']}"

        async def in_the_queue() -> dict[str, Any] | None:
            response = await client.get(job_path)
            return response.json() if response.status_code == 200 else None

        job = models.JobShape.model_validate(await until(in_the_queue))
        assert (job.status, job.percent, job.priority) == ("queued", 0, 0)
        assert job.queue_position is not None
        running = await client.post(f"{track_path}/analyses")
        assert (running.status_code, running.json()["code"]) == (409, "analysis_running")
        early = await client.post(f"{job_path}:requeue")
        assert (early.status_code, early.json()["code"]) == (409, "job_not_dead")

        cancelled = await client.post(f"{job_path}:cancel")
        assert cancelled.status_code == 200, cancelled.text
        twice = await client.post(f"{job_path}:cancel")
        assert (twice.status_code, twice.json()["code"]) == (409, "job_ended")
        await until(lambda: _listed(client, answer["job_id"], status="cancelled"))

        requeued = await client.post(f"{job_path}:requeue")
        assert requeued.status_code == 202, requeued.text
        models.JobAccepted.model_validate(requeued.json())
        assert requeued.headers["location"] == f"/v1/jobs/{requeued.json()['job_id']}"
        assert requeued.json()["job_id"] != answer["job_id"]
        await until(
            lambda: _listed(
                client, requeued.json()["job_id"], status=["queued", "running"], track_id=answer["track_id"]
            )
        )
        await client.post(f"{requeued.headers['location']}:cancel")
        asked = await client.post(f"{track_path}/analyses", json={"preset": "jazz", "bpm_hint": 90})
        assert asked.status_code == 202, asked.text
        wait = {"Consistency-Token": asked.headers["consistency-token"], "Prefer": "wait=5"}
        shown = (await client.get(track_path, headers=wait)).json()["job"]
        assert (shown["preset"], shown["bpm_hint"], shown["origin"]) == ("jazz", 90, "request")


async def _listed(client: httpx2.AsyncClient, job_id: str, **params: object) -> bool:
    response = await client.get("/v1/jobs", params=params)
    assert response.status_code == 200, response.text
    return job_id in [str(job.job_id) for job in models.JobList.model_validate(response.json()).items]


async def test_an_unknown_job_is_not_found_and_a_wrong_status_is_none(idle: House) -> None:
    async with idle.client("producer") as client:
        for method, path in (("GET", ""), ("POST", ":cancel"), ("POST", ":requeue")):
            missing = await client.request(method, f"/v1/jobs/{UNKNOWN}{path}", headers={"Prefer": "wait=0"})
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
            assert (await client.request(method, f"/v1/jobs/7{path}")).status_code == 422
        assert (await client.get("/v1/jobs", params={"status": "odd"})).status_code == 422


async def test_an_unknown_job_is_told_soon_whatever_the_client_would_wait(
    idle: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[UUID] = []

    async def get(job_id: UUID) -> None:
        asked.append(job_id)

    services: Services = idle.application.api.state.services
    monkeypatch.setattr(services.jobs, "get", get)
    async with idle.client("viewer") as client, asyncio.timeout(MAX_PATIENCE_S + 5):
        missing = await client.get(f"/v1/jobs/{UNKNOWN}", headers={"Prefer": "wait=30"})
    assert missing.status_code == 404
    assert 2 <= len(asked) <= 20, "asked less and less often"


async def test_a_body_may_not_be_endless(idle: House) -> None:
    async with idle.client("producer") as client:
        response = await client.put(
            f"{TRACK}/beat-override",
            content=b"[" * 3_000_000,
            headers={"If-Match": "*", "Content-Type": "application/json"},
        )
        assert (response.status_code, response.json()["code"]) == (413, "too_large")
        nested = await client.put(
            f"{TRACK}/beat-override",
            content=b"[" * 100_000,
            headers={"If-Match": "*", "Content-Type": "application/json"},
        )
        assert nested.status_code in (400, 422)


async def test_a_wrong_method_names_the_right_ones(idle: House) -> None:
    async with idle.client("producer") as client:
        response = await client.delete("/v1/jobs")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == "GET, HEAD"
        shared = await client.delete("/v1/tracks")
        assert shared.headers["allow"] == "GET, HEAD, POST"
        assert (await client.request("HEAD", f"{TRACK}/beat-override")).headers["allow"] == "PUT, DELETE"


@pytest.mark.parametrize(
    "path", [f"{TRACK}:archive", f"/v1/jobs/{UNKNOWN}:cancel", f"/v1/jobs/{UNKNOWN}:requeue"]
)
async def test_a_command_is_posted_and_not_read(idle: House, path: str) -> None:
    """It is no resource with an odd id."""
    async with idle.client("producer") as client:
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            wrong = await client.request(method, path, json={} if method != "GET" else None)
            assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed"), method
            assert wrong.headers["allow"] == "POST"
        unknown = await client.post(path.rpartition(":")[0] + ":explode")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_a_compressed_body_is_told_to_come_uncompressed(idle: House) -> None:
    json = gzip.compress(b'{"title": "x"}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "If-Match": "*"}
    async with idle.client("producer") as client:
        for method, path in (("PATCH", TRACK), ("POST", "/v1/tracks"), ("POST", f"{TRACK}/reference")):
            refused = await client.request(method, path, content=json, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type"), path
            assert refused.headers["accept-encoding"] == "identity"
        plain = {**headers, "Content-Encoding": "identity"}
        assert (await client.patch(TRACK, json={"title": "x"}, headers=plain)).status_code == 404
        assert (await client.get("/v1/tracks", headers={"Content-Encoding": "gzip"})).status_code == 200


async def test_a_signed_name_that_no_table_can_hold_is_refused(idle: House) -> None:
    claims = {"sub": UNKNOWN, "name": "Ada\0", "roles": ["viewer"], "iat": 0, "exp": 2**33}
    key = OctKey.import_key(idle.ports.secret.encode())
    token = jwt.encode({"alg": "HS256"}, claims, key, algorithms=["HS256"])
    async with idle.client() as client:
        response = await client.get("/v1/tracks", headers={"Authorization": f"Bearer {token}"})
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


async def test_head_is_get_without_the_body(working: House, song: str) -> None:
    async with working.client("auditor") as client:
        track = f"/v1/tracks/{song}"
        for path in ("/livez", "/docs", "/v1/jobs", track, f"{track}/versions/1/genesis-map"):
            read, head = await client.get(path), await client.request("HEAD", path)
            assert (head.status_code, head.content) == (200, b""), path
            for name in ("content-type", "content-length", "etag"):
                assert head.headers.get(name) == read.headers.get(name), f"{name} of {path}"
        streamed = await client.request("HEAD", "/v1/events", headers={"Accept": "application/x-ndjson"})
        assert (streamed.status_code, streamed.content) == (200, b"")
        assert (await client.request("HEAD", TRACK)).status_code == 404


async def test_an_address_with_a_slash_too_many_is_none(idle: House) -> None:
    """A redirect would lead wherever the Host header says."""
    async with idle.client() as client:
        response = await client.get("/v1/tracks/", headers={"Host": "evil.example"})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_body_that_is_not_called_json_is_told_what_to_call_itself(idle: House) -> None:
    async with idle.client("producer") as client:
        for sent in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
            response = await client.put(
                f"{TRACK}/beat-override", content=b'{"edit": "double"}', headers={"If-Match": "*", **sent}
            )
            assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
            assert "Content-Type: application/json" in response.json()["detail"]
        bare = await client.post(f"{TRACK}:archive", headers={"Content-Type": "text/plain"})
        assert bare.status_code == 404, "without a body its type does not matter"


async def test_health_needs_no_token(idle: House) -> None:
    async with idle.client() as client:
        assert (await client.get("/livez")).json() == {"status": "ok", "checks": {}}
        for path in ("/readyz", "/startupz"):
            response = await client.get(path)
            assert (response.status_code, response.json()["status"]) == (200, "ok")
        ready = (await client.get("/readyz")).json()["checks"]
        assert ready["event store"].startswith("at position ")
        assert ready["artefacts"] == "reached"
        assert re.search(r"track_list \d+ events, \d+\.\d s behind", ready["views"])


async def test_pages_work_without_any_other_host(idle: House) -> None:
    async with idle.client() as client:
        start, docs = await client.get("/"), await client.get("/docs")
        assert 'href="/docs"' in start.text
        for page in (start, docs):
            assert page.headers["content-type"].startswith("text/html")
            assert "//" not in page.text.replace("<!doctype html>", "")
            assert page.headers["content-security-policy"].startswith("default-src 'self';")
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "docs.js"):
            assert f"/docs/{asset}" in docs.text
            response = await client.get(f"/docs/{asset}")
            assert response.status_code == 200
            known = await client.get(f"/docs/{asset}", headers={"If-None-Match": response.headers["etag"]})
            assert known.status_code == 304
        assert "/openapi.json" in (await client.get("/docs/docs.js")).text
        assert (await client.get("/openapi.json")).json()["info"]["title"] == "beatledger"
        assert (await client.get("/docs/../../secrets")).status_code == 404


async def test_what_is_missing_is_named_until_it_is_there(idle: House) -> None:
    """/startupz stays good once the process has been ready, /readyz does not."""
    missing: list[Exception] = [Unavailable("the store is away")]

    async def check() -> str:
        if missing:
            raise missing[0]
        return "empty"

    services: Services = idle.application.api.state.services
    api = create_api(services, {"store": check})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://x") as client:
        for path in ("/readyz", "/startupz"):
            response = await client.get(path)
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
            assert response.headers["retry-after"] == "1"
            assert response.json()["errors"] == [{"path": "store", "message": "the store is away"}]
        missing[:] = [RuntimeError("password=hunter2")]
        assert (await client.get("/readyz")).json()["errors"][0]["message"] == "RuntimeError"
        missing.clear()
        assert (await client.get("/startupz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ok", "checks": {"store": "empty"}}
        missing.append(Unavailable("away again"))
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/startupz")).status_code == 200
        assert (await client.get("/livez")).status_code == 200


async def test_other_origins_are_let_in_only_when_they_are_named(idle: House) -> None:
    services: Services = idle.application.api.state.services
    api = create_api(replace(services, cors_origins=("https://app.example",)), {})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://x") as client:
        named = await client.get("/v1/tracks", headers={"Origin": "https://app.example"})
        assert named.headers["access-control-allow-origin"] == "https://app.example"
        exposed = named.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "Location", "Accept-Ranges", "WWW-Authenticate"} <= set(exposed)
        other = await client.get("/v1/tracks", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        preflight = await client.options(
            "/v1/tracks",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "If-Match, Authorization",
            },
        )
        assert preflight.status_code == 200
    async with idle.client() as client:
        closed = await client.get("/v1/tracks", headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in closed.headers


async def test_a_name_is_noted_once_and_not_at_every_request(idle: House) -> None:
    """Erased behind the API's back, it does not come back with the next request."""
    accounts = idle.ports.accounts
    assert isinstance(accounts, PostgresAccounts)
    account = account_id(idle.ports.secret, "Nora")
    assert await accounts.names([account]) == {}
    async with idle.client("viewer", name="Nora") as client:
        await client.get("/v1/tracks")
        assert await accounts.names([account]) == {account: "Nora"}
        with psycopg.connect(idle.access.owner) as connection:
            connection.execute("DELETE FROM accounts WHERE account_id = %s", [account])
        await client.get("/v1/tracks")
        assert await accounts.names([account]) == {}
