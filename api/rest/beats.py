"""Beat grids: read as JSON or as raw doubles, corrected by hand, scored against a reference."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Body, Query, Request
from starlette.responses import Response

from api.answers import command_answer
from api.circumstances import issue_of, wait_of
from api.conditional import representation
from api.negotiation import preferred
from api.refusals import BodyTooLarge
from api.rest.bodies import BeatOverride
from api.rest.examples import OVERRIDE
from api.rest.headers import VIEW
from api.rest.models import BeatsShape, VersionAccepted
from api.rest.multipart import FILE, MultipartForm
from api.rest.operations import MULTIPART_REFUSALS, command, query
from api.rest.routing import TRACK_PATH, TrackId, guarded
from api.rest.tracks import age_of, track_document
from api.security.guard import producer, reader
from api.services import services_of
from commands.references import MAX_BYTES
from domain.errors import Invalid, NotFound
from domain.track.commands import ApplyBeatOverride, RevertBeatOverride
from projections.view import Document

router = guarded("beats")

JSON = "application/json"
BINARY = "application/octet-stream"
BYTES = {"type": "string", "format": "binary"}

CORRECTED = {409: ["no_version", "track_archived"]}
GRID_RULES = ["beat_count", "beat_outside", "beat_interval"]
EDIT_RULES = [*GRID_RULES, "downbeat_off_grid", "downbeat_order", "anchor_index", "anchor_order"]
REFERENCE_RULES = [
    *GRID_RULES,
    "field_unknown",
    "reference_line",
    "reference_not_text",
    "reference_jams",
    "reference_midi",
    "reference_too_long",
]

IMMUTABLE = "private, max-age=31536000, immutable"

Version = Annotated[
    int | None, Query(ge=1, le=2**31, description="Number of the version; the current one if it is left out.")
]


@router.get(
    TRACK_PATH + "/beats",
    response_model=BeatsShape,
    **query(reader, *VIEW, answers={200: {"content": {BINARY: {"schema": BYTES}}}}),
)
async def get_beats(request: Request, track_id: TrackId, version: Version = None) -> Response:
    """Return the beat grid of a version.

    With `Accept: application/octet-stream` the answer is the beats alone, in milliseconds as little-endian
    float64 numbers.
    """
    if version is not None:
        entry = await version_entry(request, track_id, version)
        return _beats(request, entry, entry["revision"], IMMUTABLE, 0.0)
    track = await track_document(request, track_id, "track_list", lambda track: track["version"] is None)
    if track["version"] is None:
        raise NotFound("the track has no version yet: wait for its first analysis")
    entry = await version_entry(request, track_id, track["version"])
    # The track's revision, so that this ETag serves as If-Match of an override.
    age_s = await age_of(request, "track_list")
    return _beats(request, entry, track["revision"], "private, no-cache", age_s)


async def version_entry(
    request: Request, track_id: UUID, version: int, view: str = "genesis_maps"
) -> Document:
    """Return what a view keeps of a version. Raises NotFound, ViewBehind."""
    id = f"{track_id}:{version}"
    entry = await services_of(request).views.get(view, track_id, wait_of(request), entry=id)
    if entry is None:
        raise NotFound(f"there is no version {version} of a track {track_id}")
    return entry


def _beats(request: Request, entry: Document, revision: int, cache: str, age_s: float) -> Response:
    if preferred(request, JSON, BINARY) == BINARY:
        body, media_type = packed(entry["beats_ms"]), BINARY
    else:
        body, media_type = msgspec.json.encode(_grid(entry)), JSON
    return representation(request, body, revision, media_type, cache, "Authorization, Accept", age_s)


def _grid(entry: Document) -> dict[str, Any]:
    figures = entry["global_metrics"]
    return {
        "track_id": entry["track_id"],
        "version": entry["version"],
        "revision": entry["revision"],
        "bpm": figures["bpm"],
        "duration_ms": figures["duration_ms"],
        "beats_ms": entry["beats_ms"],
        "downbeats_ms": entry["downbeats_ms"],
    }


def packed(beats_ms: Sequence[float]) -> bytes:
    """Return the beats as little-endian float64, 8 bytes each, in ms."""
    doubles = array("d", beats_ms)
    if sys.byteorder == "big":
        doubles.byteswap()
    return doubles.tobytes()


@router.put(
    TRACK_PATH + "/beat-override",
    response_model=VersionAccepted,
    **command(producer, CORRECTED, {422: EDIT_RULES}, must_match=True),
)
async def override_beats(
    request: Request, track_id: TrackId, body: Annotated[BeatOverride, Body(openapi_examples=OVERRIDE)]
) -> Response:
    """Correct the current grid, by new beats or by an edit of the present ones. Needs If-Match.

    Beats that an edit moves out of the recording are dropped.
    """
    command = ApplyBeatOverride.model_validate(
        {"track_id": track_id, "edit": body.model_dump(exclude={"note"}), "note": body.note}
    )
    issue = issue_of(request, match_required=True)
    return command_answer(await services_of(request).pipeline.execute(command, issue))


@router.delete(
    TRACK_PATH + "/beat-override",
    response_model=VersionAccepted,
    **command(producer, CORRECTED, {409: ["no_override"]}),
)
async def revert_beats(request: Request, track_id: TrackId) -> Response:
    """Revert the correction: the grid of the latest analysis is current again, as a new version."""
    command = RevertBeatOverride(track_id=track_id)
    return command_answer(await services_of(request).pipeline.execute(command, issue_of(request)))


_REFERENCE_FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "Beat times as text, JAMS or MIDI; its content decides which.",
                    }
                },
            }
        }
    },
}


@router.post(
    TRACK_PATH + "/reference",
    response_model=VersionAccepted,
    **command(producer, MULTIPART_REFUSALS, CORRECTED, {422: REFERENCE_RULES}, requestBody=_REFERENCE_FORM),
)
async def give_reference(request: Request, track_id: TrackId) -> Response:
    """Give the true beats of a track; a new version is scored against them.

    The file is one of three kinds. Text: each line begins with the time of a beat in seconds. JAMS: the first
    annotation of the namespace `beat` or `beat_position` is used. MIDI: the tempo map gives a beat for each
    quarter note from the start of the audio.
    """
    content = await _reference_file(request)
    command = await services_of(request).references.command(track_id, content)
    try:
        answer = await services_of(request).pipeline.execute(command, issue_of(request))
    except Invalid as error:
        # The rules name the command's field; the client sent a file.
        if (error.field or "").startswith("reference_ms"):
            error.field = FILE
        raise
    return command_answer(answer)


async def _reference_file(request: Request) -> bytes:
    form, content, received = MultipartForm(request.headers.get("content-type")), bytearray(), 0
    async for chunk in request.stream():
        received += len(chunk)
        for piece in form.feed(chunk):
            content += piece
        if received > 2 * MAX_BYTES or len(content) > MAX_BYTES:
            raise BodyTooLarge(f"a reference has at most {MAX_BYTES} bytes")
    form.finish()
    if given := [name for name, value in form.fields if value]:
        raise Invalid("field_unknown", "a reference takes no field but `file`", given[0])
    return bytes(content)
