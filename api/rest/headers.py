"""The request headers that routes take, as OpenAPI shows them; api/circumstances.py reads them."""

from __future__ import annotations

from typing import Any

Header = dict[str, Any]


def _header(name: str, description: str, example: str, *, required: bool = False) -> Header:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


KEY = _header("Idempotency-Key", "Repeated with the same request it gives the first answer.", "a-key-of-mine")
MATCH = _header("If-Match", "Only if it still is as I read it: the ETag.", "*")
MATCH_REQUIRED = _header("If-Match", "The ETag I read, or * for whatever is there.", "*", required=True)
NONE_MATCH = _header("If-None-Match", "The ETag I have: 304 if it still is so.", '"1-0123456789abcdef"')
TOKEN = _header("Consistency-Token", "What a command answered; with Prefer: wait, its effects are seen.", "")
PREFER = _header("Prefer", "How many seconds to wait for the Consistency-Token.", "wait=2")

READ = (NONE_MATCH,)
VIEW = (NONE_MATCH, TOKEN, PREFER)


def takes(*headers: Header, **more: Any) -> dict[str, Any]:
    """Return what a route's OpenAPI says besides its own parameters."""
    return {"parameters": list(headers), **more}
