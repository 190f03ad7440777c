"""How the write side's answers look in HTTP."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from api.conditional import etag
from commands.issue import Answer


def command_answer(answer: Answer, location: str | None = None) -> Response:
    """Return a command's answer: where it led, and the token by which queries can wait for its effects."""
    body = msgspec.json.encode({**answer.body, "revision": answer.revision, "position": answer.position})
    headers = {
        "ETag": etag(answer.revision, body),
        "Consistency-Token": answer.consistency_token,
        "Cache-Control": "no-store",
    }
    if location is not None:
        headers["Location"] = location
    if answer.repeated:
        headers["Idempotent-Replayed"] = "true"
    return Response(body, answer.status, headers, "application/json")
