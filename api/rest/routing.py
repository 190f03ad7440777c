"""What all routers of /v1 have in common: the guard before them, and problems in their OpenAPI."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.convertors import StringConvertor, register_url_convertor

from api import problem
from api.security.guard import GuardedRoute

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A refusal, with a code of docs/errors.md and what to do",
        "content": {problem.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class _Segment(StringConvertor):
    """A path segment without a colon: `/v1/jobs/{id}:cancel` is another address than `/v1/jobs/{id}`."""

    regex = "[^/:]+"


register_url_convertor("segment", _Segment())

TRACK = "/v1/tracks/{track_id:segment}"


def guarded(*tags: str) -> APIRouter:
    """Return a router whose routes need an access token."""
    return APIRouter(route_class=GuardedRoute, tags=list(tags), responses=PROBLEMS)
