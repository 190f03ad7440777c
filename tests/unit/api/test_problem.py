"""Every error has one status, one code and a line in docs/errors.md."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

import adapters.artefacts.store  # noqa: F401 - its refusals count too
import api.application  # noqa: F401
from api import problem
from api.refusals import NotReady, RangeNotSatisfiable, TokenExpired, TokenUnknown, Unauthenticated
from api.trace import TraceMiddleware
from domain import errors as e
from tests.unit.api.codes import ROOT, all_codes, error_classes, rules

pytestmark = pytest.mark.anyio

LINE = re.compile(r"^\| ([a-z0-9_]+) \| (\d{3}) \|", re.MULTILINE)
INSIDE = {"internal"}
"""Codes of errors that no caller causes: 500 without a place in the table."""


def documented() -> dict[str, int]:
    return {code: int(status) for code, status in LINE.findall((ROOT / "docs" / "errors.md").read_text())}


def client_of(error: BaseException) -> httpx2.AsyncClient:
    """Return a client of an application whose only route raises the error."""
    app = FastAPI(middleware=[Middleware(TraceMiddleware)])
    problem.install(app)

    @app.get("/")
    async def raising() -> None:
        raise error

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


async def answer_to(error: BaseException) -> httpx2.Response:
    async with client_of(error) as client:
        return await client.get("/")


def test_the_documentation_lists_every_code_and_no_other() -> None:
    assert set(documented()) == all_codes()


def test_the_documented_status_is_the_one_answered() -> None:
    """The table in api/problem.py and the one in docs/errors.md say the same."""
    expected = {kind.code: status for kind, status in problem.STATUS.items()}
    expected |= {code: status for status, (code, _) in problem.HTTP_CODES.items()}
    for code, status in documented().items():
        if code in expected:
            assert expected[code] == status, code
        elif code in problem.RULE_STATUS:
            assert problem.RULE_STATUS[code] == status, code
        else:
            assert status in ((409, 422) if code in rules() else (422, 500)), code


def test_every_kind_of_refusal_has_a_status() -> None:
    kinds = {kind for kind in error_classes() if kind.code not in INSIDE}
    assert kinds == set(problem.STATUS)


async def test_a_rule_is_the_code_of_its_refusal() -> None:
    response = await answer_to(e.Rejected("analysis_running", "one at a time"))
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:beatledger:problem:analysis_running",
        "title": "Conflict",
        "status": 409,
        "detail": "one at a time",
        "code": "analysis_running",
        "trace_id": response.headers["trace-id"],
    }


async def test_a_wrong_field_is_named_by_its_path() -> None:
    response = await answer_to(e.Invalid("beat_interval", "too close", "beats_ms[3]"))
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"path": "beats_ms[3]", "message": "too close", "code": "beat_interval"}
    ]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (e.Busy("full"), "1"),
        (e.Unavailable("away"), "1"),
        (e.ViewBehind("track_list", 7, 5), "1"),
        (NotReady({"views": "being built"}), "1"),
    ],
)
async def test_a_503_says_when_to_try_again(error: Exception, seconds: str) -> None:
    response = await answer_to(error)
    assert (response.status_code, response.headers["retry-after"]) == (503, seconds)


async def test_a_view_that_is_behind_says_how_far_it_is() -> None:
    response = await answer_to(e.ViewBehind("track_list", 7, 5))
    assert "reached position 5, not yet 7" in response.json()["detail"]


async def test_what_is_missing_for_readiness_is_named() -> None:
    response = await answer_to(NotReady({"views": "being built"}))
    assert response.json()["errors"] == [{"path": "views", "message": "being built"}]


async def test_a_wrong_token_is_told_as_rfc_6750_has_it() -> None:
    expired, missing = await answer_to(TokenExpired("old")), await answer_to(Unauthenticated("none"))
    unknown = await answer_to(TokenUnknown("theirs"))
    for wrong in (expired, unknown):
        assert wrong.headers["www-authenticate"] == 'Bearer realm="beatledger", error="invalid_token"'
    assert missing.headers["www-authenticate"] == 'Bearer realm="beatledger"'


async def test_an_unsatisfiable_range_tells_the_size() -> None:
    response = await answer_to(RangeNotSatisfiable(10))
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */10")


async def test_a_stale_revision_and_a_lost_race_are_told_apart() -> None:
    stale, conflict = await answer_to(e.Stale({3}, 4)), await answer_to(e.RevisionConflict(uuid4(), 3, 4))
    assert (stale.status_code, conflict.status_code) == (412, 409)


async def test_the_unexpected_shows_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    response = await answer_to(RuntimeError("password=hunter2"))
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert response.json()["code"] == "internal"
    assert response.json()["trace_id"] == response.headers["trace-id"]


async def test_a_request_that_a_stopping_server_cuts_off_is_told_to_come_again() -> None:
    """And ends without an exception, of which the server would log a traceback and answer 500."""
    response = await answer_to(asyncio.CancelledError())
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.headers["retry-after"] == "1"


async def test_an_unknown_address_and_a_wrong_method_are_problems_too() -> None:
    async with client_of(RuntimeError()) as client:
        missing, wrong = await client.get("/nowhere"), await client.delete("/")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD"


class Body(BaseModel):
    beats_ms: list[float] = Field(max_length=1000)


async def test_a_wrong_body_names_a_few_paths_in_words_and_at_most_fifty_in_all() -> None:
    app = FastAPI(middleware=[Middleware(TraceMiddleware)])
    problem.install(app)

    @app.post("/")
    async def take(body: Body) -> None: ...

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        response = await client.post("/", json={"beats_ms": [1.0, *["x"] * 99]})
        broken = await client.post("/", content=b"{", headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert len(response.json()["errors"]) == 50
    assert response.json()["errors"][0]["path"] == "beats_ms[1]"
    assert "and 96 more" in response.json()["detail"]
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_body")
