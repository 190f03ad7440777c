"""What the headers of a request say about it: how a command is issued, how long a query may wait."""

from __future__ import annotations

import re

from starlette.requests import Request

from api.conditional import revisions_to_match
from api.security.principal import Principal
from api.trace import current_trace
from commands.issue import Issue
from domain.errors import Invalid
from domain.ids import command_id
from projections.queries import Wait

MAX_WAIT_S = 30.0

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4}(?:\.\d{1,3})?)", re.IGNORECASE)


def issue_of(request: Request, *, match_required: bool = False) -> Issue:
    """Return the circumstances of the command this request asks for. Raises MatchRequired or Invalid."""
    principal: Principal = request.state.principal
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid(
            "idempotency_key", "an Idempotency-Key has 1 to 255 ASCII characters", "header.idempotency-key"
        )
    return Issue(
        caller=principal.caller,
        command_id=None if key is None else command_id(principal.actor, route_of(request), key),
        if_match=revisions_to_match(request, required=match_required),
        traceparent=current_trace(request).traceparent,
    )


def route_of(request: Request) -> str:
    """Return method and path template: the same for every track, so a key serves one of them."""
    return f"{request.method} {request.scope['route'].path_format}"


def wait_of(request: Request) -> Wait:
    """Return what Consistency-Token and `Prefer: wait=SECONDS` (RFC 7240) ask a query to wait for."""
    preferred = _WAIT.search(", ".join(request.headers.getlist("prefer")))
    timeout_s = None if preferred is None else min(float(preferred[1]), MAX_WAIT_S)
    return Wait(request.headers.get("consistency-token"), timeout_s)
