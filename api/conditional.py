"""ETags, `"<revision>-<hash of the body>"` or an artefact's hash, and the conditions on them (RFC 9110)."""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from api.refusals import MatchRequired
from domain.errors import Invalid

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_TAGS = re.compile(r'[,\s]*(?:W/)?"[^"]*"(?:\s*,[,\s]*(?:W/)?"[^"]*")*[,\s]*')
_REVISION = re.compile(r'"(\d{1,18})(?:-[^"]*)?"')


def etag(revision: int | None, body: bytes) -> str:
    """Return the strong ETag of a representation; a list has no revision, so its hash alone."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f'"{digest}"' if revision is None else f'"{revision}-{digest}"'


def revisions_to_match(request: Request, *, required: bool = False) -> frozenset[int] | None:
    """Return the revisions that If-Match names; None for `*` and for none at all.

    Only the revision counts, because every representation of a revision shows the same state. A weak ETag
    counts too: a proxy that compresses answers makes strong ETags weak. An ETag without a revision matches
    nothing. Raises MatchRequired, or Invalid for a header that is no list of ETags.
    """
    headers = request.headers.getlist("if-match")
    if not headers:
        if required:
            raise MatchRequired
        return None
    header = ", ".join(headers).strip()
    if header == "*":
        return None
    if not _TAGS.fullmatch(header):
        raise Invalid("if_match", "If-Match takes ETags as answers gave them, or *", "header.if-match")
    named = map(_REVISION.match, _TAG.findall(header))
    return frozenset(int(match[1]) for match in named if match)


def known_to_client(request: Request, tag: str) -> bool:
    """Say whether If-None-Match names this ETag, by the weak comparison RFC 9110 prescribes."""
    header = request.headers.get("if-none-match", "")
    return header.strip() == "*" or tag in _TAG.findall(header)


def representation(
    request: Request,
    body: bytes,
    revision: int | None = None,
    media_type: str = "application/json",
    cache: str = "private, no-cache",
    vary: str = "Authorization",
    age_s: float = 0.0,
) -> Response:
    """Return a read's answer, or 304 when the client has it already.

    `age_s` is how far the view it was read from is behind the log: Age (RFC 9111, 5.1), from a second on.
    """
    headers = {"ETag": etag(revision, body), "Cache-Control": cache, "Vary": vary}
    if age_s >= 1.0:
        headers["Age"] = str(int(age_s))
    if known_to_client(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
