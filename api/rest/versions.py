"""Versions and their artefacts: immutable, so kept by clients for ever under the hash of what is in them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api.circumstances import wait_of
from api.conditional import known_to_client, representation
from api.names import names_of
from api.negotiation import preferred
from api.refusals import RangeNotSatisfiable
from api.rest.beats import BINARY, BYTES, IMMUTABLE, JSON, version_entry
from api.rest.headers import RANGE, VIEW, answered
from api.rest.models import VersionPage, VersionShape
from api.rest.operations import query
from api.rest.routing import TRACK_PATH, TrackId, guarded
from api.rest.tracks import age_of, named, track_document
from api.security.guard import reader
from api.services import services_of
from domain.errors import NotFound
from projections import queries
from projections.documents import Equals

router = guarded("versions")

Number = Annotated[int, Path(ge=1, le=2**31, description="Number of the version, from 1.", examples=[1])]
ArtefactName = Annotated[
    Literal["genesis-map", "metrics", "graph-template", "peaks-binary", "timings", "manifest"],
    Path(description="Name of the file.", examples=["genesis-map"]),
]


_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@router.get(
    TRACK_PATH + "/versions",
    response_model=VersionPage,
    **query(reader, *VIEW, refuses={410: ["cursor_gone"], 422: ["cursor"]}),
)
async def list_versions(
    request: Request,
    track_id: TrackId,
    limit: Annotated[
        int, Query(ge=1, le=queries.MAX_LIMIT, description="How many versions to return at most.")
    ] = 50,
    cursor: Annotated[
        str | None, Query(max_length=4096, description="`next_cursor` of the page before.")
    ] = None,
) -> Response:
    """List the versions of a track, a page at a time, the first version first."""
    document = await track_document(request, track_id)
    wanted = queries.Query((Equals("_track_id", str(track_id)),), "number", cursor, limit)
    page = await services_of(request).views.find("track_versions", wanted, wait_of(request))
    names = await names_of(services_of(request).accounts, (version["by"] for version in page.items))
    items = [named(version, names) for version in page.items]
    body = msgspec.json.encode({"items": items, "next_cursor": page.next_cursor})
    age_s = await age_of(request, "track_versions")
    return representation(request, body, document["revision"], age_s=age_s)


@router.get(
    TRACK_PATH + "/versions/{number:segment}",
    response_model=VersionShape,
    **query(reader, *VIEW),
)
async def get_version(request: Request, track_id: TrackId, number: Number) -> Response:
    """Return one version: how and by whom it was made, its figures and its files."""
    version = await version_entry(request, track_id, number, "track_versions")
    names = await names_of(services_of(request).accounts, [version["by"]])
    return representation(request, msgspec.json.encode(named(version, names)), version["revision"])


def _file() -> dict[int, dict[str, Any]]:
    content = {JSON: {"schema": {"type": "object"}}, BINARY: {"schema": BYTES}}
    headers = answered(("ETag", "Cache-Control", "Vary", "Accept-Ranges"))
    part = {**headers, **answered(["Content-Range"])}
    return {
        200: {"content": content, "headers": headers, "description": "The whole file."},
        206: {"content": content, "headers": part, "description": "The part that Range asks for."},
        304: {"headers": headers},
    }


@router.get(
    TRACK_PATH + "/versions/{number:segment}/peaks",
    response_class=Response,
    **query(reader, *VIEW, RANGE, answers=_file(), refuses={416: ["range_not_satisfiable"]}),
)
async def get_peaks(request: Request, track_id: TrackId, number: Number) -> Response:
    """Return the waveform for drawing: the lowest and highest sample of each stretch, at several zooms.

    Each zoom, the finest first, is in audiowaveform's format 2 with 8 bits. JSON has them as `zooms`. With
    `Accept: application/octet-stream` they follow each other, each behind a header with its length.
    """
    name = "peaks-binary" if preferred(request, JSON, BINARY) == BINARY else "peaks"
    return await _artefact(request, track_id, number, name, "Authorization, Accept")


@router.get(
    TRACK_PATH + "/versions/{number:segment}/{artefact:segment}",
    response_class=Response,
    **query(reader, *VIEW, RANGE, answers=_file(), refuses={416: ["range_not_satisfiable"]}),
)
async def get_artefact(
    request: Request, track_id: TrackId, number: Number, artefact: ArtefactName
) -> Response:
    """Return a file of a version. Takes Range.

    `timings`, in speedscope's format, exist for versions that an analysis made.
    """
    return await _artefact(request, track_id, number, artefact)


async def _artefact(
    request: Request, track_id: UUID, number: int, name: str, vary: str = "Authorization"
) -> Response:
    entry = await version_entry(request, track_id, number, "artefact_manifests")
    for file in entry["artefacts"]:
        if file["name"] == name:
            return await stored_file(request, file["sha256"], file["size"], file["media_type"], vary)
    raise NotFound(f"version {number} has no {name}")


async def stored_file(
    request: Request, sha256: str, size: int, media_type: str, vary: str = "Authorization"
) -> Response:
    """Return an artefact, or the part of it that was asked for. Raises RangeNotSatisfiable, NotFound."""
    tag = f'"{sha256}"'
    headers = {
        "ETag": tag,
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "Vary": vary,
        "X-Content-Type-Options": "nosniff",
    }
    if known_to_client(request, tag):
        return Response(status_code=304, headers=headers)
    part = wanted_range(request, tag, size)
    start, end = part or (0, size)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    # The status is sent before the first byte is read, so ask for the file first.
    artefacts = services_of(request).artefacts
    await artefacts.size(sha256)
    return StreamingResponse(artefacts.stream(sha256, start, end), 206 if part else 200, headers, media_type)


def wanted_range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of a Range; None = all of it, also for what RFC 9110 lets us ignore.

    Several ranges at once are such a thing. Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.headers.get("if-range", tag) != tag or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start == end:
        raise RangeNotSatisfiable(size)
    return start, end
