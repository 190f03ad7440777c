"""What all routers of /v1 have in common: the guard before them, and problems in their OpenAPI."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api import problem
from api.security.guard import GuardedRoute

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A refusal, with a code of docs/errors.md and what to do",
        "content": {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}

TRACK = "/v1/tracks/{track_id}"


def guarded(*tags: str) -> APIRouter:
    """Return a router whose routes need an access token."""
    return APIRouter(route_class=GuardedRoute, tags=list(tags), responses=PROBLEMS)
