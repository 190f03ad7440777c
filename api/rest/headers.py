"""The headers that requests and answers carry, as the OpenAPI document describes them.

api/circumstances.py reads those of requests. Optional ones have no `example`: the documentation page would
send it with every request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Header = dict[str, Any]


def _taken(name: str, description: str, *, required: bool = False, **more: Any) -> Header:
    described = {"name": name, "in": "header", "required": required, "description": description}
    return {**described, "schema": {"type": "string"}, **more}


KEY = _taken(
    "Idempotency-Key",
    "Names this request, in 1 to 255 ASCII characters. The same key with the same request returns the first "
    "answer again and changes nothing; with another request it is refused with 422. Use a new key, such as a "
    "UUID, for each new request.",
)
MATCH = _taken(
    "If-Match",
    "ETag from your last read; the change is refused with 412 if the resource has changed since. `*` or no "
    "header changes the resource whatever its state is.",
)
MATCH_REQUIRED = _taken(
    "If-Match",
    "ETag from your last read; the change is refused with 412 if the resource has changed since. `*` changes "
    "the resource whatever its state is.",
    required=True,
    example="*",
)
NONE_MATCH = _taken(
    "If-None-Match",
    "ETag of the representation that you hold; the answer is 304 without a body if it is still current.",
)
TOKEN = _taken(
    "Consistency-Token",
    "Consistency-Token of a command's answer. With `Prefer: wait` the read waits until it shows the effects "
    "of that command.",
)
PREFER = _taken(
    "Prefer",
    "`wait=SECONDS`, at most 30: how long the read waits for the Consistency-Token; after that it is refused "
    "with 503 `view_behind`.",
)
RANGE = _taken("Range", "`bytes=FIRST-LAST`: the part of the file to return, with status 206.")

VIEW = (TOKEN, PREFER)
"""What reads of a view take, besides If-None-Match."""

ANSWERED: Mapping[str, str] = {
    "Accept-Encoding": "The content codings that a request body may have: `identity`.",
    "Accept-Ranges": "`bytes`: the file can be read in parts.",
    "Age": "For so many seconds an event of the view has waited to be shown; absent below one.",
    "Cache-Control": "How long a client may keep the answer.",
    "Consistency-Token": "Give it to a read, with `Prefer: wait`, that must show this command's effects.",
    "Content-Range": "Which bytes of the file the answer holds, and how many the file has.",
    "ETag": 'Names this representation: `"REVISION-HASH"`, of a file its SHA-256.',
    "Idempotent-Replayed": "`true` if an earlier request with this Idempotency-Key was answered so.",
    "Location": "Address of the resource that the command created.",
    "Retry-After": "In how many seconds to try again.",
    "Trace-Id": "Names this request in the server's log and in its events (W3C Trace Context).",
    "Vary": "Request headers on which the answer depends.",
    "WWW-Authenticate": "The authentication scheme, `Bearer`, and the error of the token.",
    "X-Request-Id": "The request's own X-Request-Id, or else the trace id.",
}
"""Every header of an answer that a client may rely on."""


def answered(names: Iterable[str]) -> dict[str, Any]:
    """Return the headers of an answer as references into the document's components."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def components() -> dict[str, Any]:
    """Return the descriptions that `answered` refers to."""
    return {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in ANSWERED.items()
    }
