"""The one place where errors become application/problem+json (RFC 9457).

Every class of domain/errors.py and api/refusals.py has its status here, and docs/errors.md lists every code;
tests/unit/api/test_problem.py holds the three together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import pydantic
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from api import refusals as r
from api.validation import FieldError, field_errors
from domain import errors as e

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[e.LedgerError], int] = {
    e.NotFound: 404,
    e.Rejected: 409,
    e.Invalid: 422,
    e.Forbidden: 403,
    e.RevisionConflict: 409,
    e.Stale: 412,
    e.Expired: 409,
    e.KeyReused: 422,
    e.EventTooLarge: 413,
    e.Busy: 503,
    e.Unavailable: 503,
    e.UnknownEvent: 500,
    e.CursorGone: 410,
    e.ViewBehind: 503,
    r.Unauthenticated: 401,
    r.TokenExpired: 401,
    r.TokenUnknown: 401,
    r.MatchRequired: 428,
    r.BodyTooLarge: 413,
    r.UnsupportedMediaType: 415,
    r.UnsupportedEncoding: 415,
    r.MalformedMultipart: 400,
    r.RangeNotSatisfiable: 416,
    r.StorageFull: 503,
    r.NotReady: 503,
}

RULE_STATUS: Mapping[str, int] = {
    "not_audio": 415,
    "undecodable": 415,
    "enrolment_token_wrong": 403,
    "enrolment_token_used": 403,
    "enrolment_token_expired": 403,
}
"""Rules that have a status of their own."""

HTTP_CODES: Mapping[int, tuple[str, str]] = {
    400: ("malformed_body", "the body can't be read: send well-formed JSON"),
    404: ("not_found", "there is no such address: /docs lists all of them"),
    405: (
        "method_not_allowed",
        "this address does not take the method: the Allow header lists those it takes",
    ),
    413: ("too_large", "the body is too large"),
}
"""Code and detail of what Starlette and FastAPI refuse by themselves."""

MAX_ERRORS = 50
"""A grid can have 20,000 wrong beats; fifty are enough to see what is wrong with them."""

INVALID_REQUEST = "invalid_request"
INTERNAL = "internal"


class Problem(pydantic.BaseModel):
    """A refusal (RFC 9457)."""

    model_config = pydantic.ConfigDict(use_attribute_docstrings=True)

    type: str
    """`urn:beatledger:problem:CODE`."""
    title: str
    """Name of the HTTP status."""
    status: int
    """HTTP status."""
    detail: str
    """The reason and the remedy, for people."""
    code: str
    """Kind of the refusal, for programs: stable, and listed in docs/errors.md. New codes may come."""
    trace_id: str
    """Id under which the server's log has this request."""
    errors: list[FieldError] | None = None
    """Errors by the part of the request they are in; missing if no part is to blame."""


def problem(
    status: int,
    code: str,
    detail: str,
    trace_id: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that refuses a request."""
    body = Problem(
        type=f"urn:beatledger:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        trace_id=trace_id,
        errors=list(errors) or None,
    )
    content = body.model_dump_json(exclude_none=True)
    return Response(content, status, {**(headers or {}), "Cache-Control": "no-store"}, MEDIA_TYPE)


def unexpected(trace_id: str) -> Response:
    """Return the answer to an unexpected error: the id that the log has it under, and no internals."""
    return problem(
        500, INTERNAL, f"the server failed; its log has the reason under trace {trace_id}", trace_id
    )


def stopping(trace_id: str) -> Response:
    """Return the answer to a request that the server could not finish before it had to stop."""
    error = r.NotReady({"server": "it is stopping and did not finish this request: send it again"})
    return problem(STATUS[r.NotReady], error.code, error.detail, trace_id, headers=_headers(error))


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""
    app.add_exception_handler(e.LedgerError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)


def _trace_id(request: Request) -> str:
    trace_id: str = request.state.trace.trace_id
    return trace_id


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, e.LedgerError)
    code = error.rule if isinstance(error, e.Rejected | e.Invalid) else error.code
    status = RULE_STATUS.get(code) or STATUS.get(type(error), 500)
    # An unregistered event is our trouble, not the caller's; its name may still be read by an operator.
    return problem(status, code, error.detail, _trace_id(request), _details(error), _headers(error))


def _details(error: e.LedgerError) -> list[FieldError]:
    match error:
        case e.Invalid(field=str() as field):
            return [FieldError(path=field, message=error.detail, code=error.rule)]
        case r.NotReady():
            return [FieldError(path=name, message=text) for name, text in error.checks.items()]
        case _:
            return []


def _headers(error: e.LedgerError) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after_s: float | None = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if isinstance(error, r.Unauthenticated):
        invalid = ' error="invalid_token"' if isinstance(error, r.TokenExpired | r.TokenUnknown) else ""
        headers["WWW-Authenticate"] = f'Bearer realm="beatledger"{"," if invalid else ""}{invalid}'
    if isinstance(error, r.UnsupportedEncoding):
        headers["Accept-Encoding"] = "identity"
    if isinstance(error, r.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    return headers


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if any(found["type"] == "json_invalid" for found in error.errors()):
        return problem(400, *HTTP_CODES[400], _trace_id(request))
    errors = field_errors(error.errors())
    detail = "; ".join(f"{f.path}: {f.message}" for f in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    told = errors[:MAX_ERRORS]
    return problem(422, INVALID_REQUEST, f"correct the request: {detail}{more}", _trace_id(request), told)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = HTTP_CODES.get(error.status_code, (INTERNAL, error.detail))
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    return problem(error.status_code, code, detail, _trace_id(request), headers=headers)


def _methods(request: Request) -> list[str]:
    """Return all methods of the path: each is a route of its own, and Starlette names the first one's."""
    app: FastAPI = request.app
    found = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    return ["GET", "HEAD", *found[1:]] if "GET" in found else found
