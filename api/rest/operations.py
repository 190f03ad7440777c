"""What a route declares in the OpenAPI document beside its parameters and the shape of its answer.

To declare a route, add `**query(reader, …)` if it reads or `**command(producer, …)` if it changes something.
What all operations have in common (refusals of tokens and shapes, traces) is added by api/openapi.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.params import Depends

from api.rest.headers import KEY, MATCH, MATCH_REQUIRED, NONE_MATCH, TOKEN, Header, answered

Refusals = Mapping[int, Sequence[str]]
"""Codes of docs/errors.md by the status they come with."""

CODES = "x-codes"
"""The key of a response that lists its codes."""

_READ = ("ETag", "Cache-Control", "Vary")
_COMMAND = ("ETag", "Consistency-Token", "Cache-Control", "Idempotent-Replayed")

_VIEW_REFUSALS: Refusals = {422: ["consistency_token"], 503: ["view_behind"]}
_COMMAND_REFUSALS: Refusals = {
    409: ["revision_conflict"],
    412: ["stale_revision"],
    413: ["event_too_large"],
    422: ["idempotency_key", "key_reused", "if_match", "number_too_large", "unstorable"],
    503: ["busy", "unavailable"],
}
MULTIPART_REFUSALS: Refusals = {
    400: ["multipart_malformed"],
    422: ["file_missing", "one_file_only", "unexpected_file", "not_utf8"],
}


def query(
    who: Depends | None,
    *headers: Header,
    answers: Mapping[int, Mapping[str, Any]] | None = None,
    refuses: Refusals | None = None,
) -> dict[str, Any]:
    """Return the declaration of a route that reads and takes If-None-Match.

    `who` None: it needs no token. `headers` are further ones it takes; `answers` is what its responses have
    besides shape and headers.
    """
    taken = [NONE_MATCH, *headers]
    names = (*_READ, "Age") if TOKEN in taken else _READ
    responses: dict[int, dict[str, Any]] = {
        200: {"headers": answered(names)},
        304: {"description": "The client's representation is current.", "headers": answered(names)},
    }
    for status, more in (answers or {}).items():
        responses[status] = {**responses.get(status, {"headers": answered(names)}), **more}
    return _declared(who, taken, responses, [_VIEW_REFUSALS if TOKEN in taken else {}, refuses or {}])


def command(
    who: Depends,
    *refusals: Refusals,
    status: int = 200,
    located: bool = False,
    must_match: bool = False,
    matches: bool = True,
    **extra: Any,
) -> dict[str, Any]:
    """Return the declaration of a route that issues a command.

    `located`: its answer has a Location. `must_match`: it needs If-Match; `matches` False: it takes none.
    """
    names = (*_COMMAND, "Location") if located else _COMMAND
    match = [MATCH_REQUIRED if must_match else MATCH] if matches else []
    needed: Refusals = {428: ["if_match_required"]} if must_match else {}
    responses = {status: {"headers": answered(names)}}
    found = _declared(who, [*match, KEY], responses, [_COMMAND_REFUSALS, needed, *refusals])
    found["openapi_extra"] |= extra
    return {**found, "status_code": status}


def refused(*refusals: Refusals) -> dict[int, dict[str, Any]]:
    """Return the responses that refuse, each with its codes."""
    found: dict[int, dict[str, Any]] = {}
    for status, codes in (item for some in refusals for item in some.items()):
        found.setdefault(status, {CODES: []})[CODES] += codes
    return found


def _declared(
    who: Depends | None,
    taken: Sequence[Header],
    responses: Mapping[int, Mapping[str, Any]],
    refusals: Sequence[Refusals],
) -> dict[str, Any]:
    return {
        "dependencies": [who] if who else [],
        "openapi_extra": {"parameters": list(taken)},
        "responses": {**responses, **refused(*refusals)},
    }
