"""What all routers of /v1 have in common: the guard before them, and how their paths are cut."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from starlette.convertors import StringConvertor, register_url_convertor

from api.security.guard import GuardedRoute


class _Segment(StringConvertor):
    """A path segment without a colon: `/v1/jobs/{id}:cancel` is another address than `/v1/jobs/{id}`."""

    regex = "[^/:]+"


register_url_convertor("segment", _Segment())

TrackId = Annotated[UUID, Path(description="Id of the track, as POST /v1/tracks returned it.")]

TRACK_PATH = "/v1/tracks/{track_id:segment}"


def guarded(*tags: str) -> APIRouter:
    """Return a router whose routes need an access token."""
    return APIRouter(route_class=GuardedRoute, tags=list(tags))
