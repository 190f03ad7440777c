"""Which of several representations a request prefers (RFC 9110, 12.5.1)."""

from __future__ import annotations

from starlette.requests import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header


def preferred(request: Request, *offered: str) -> str:
    """Return the offered media type that Accept ranks highest.

    The first one is returned when Accept is missing, ranks several alike or accepts none of them: RFC 9110
    lets a server answer with what it has.
    """
    accept = parse_accept_header(", ".join(request.headers.getlist("accept")), MIMEAccept)
    return accept.best_match(offered, offered[0])
