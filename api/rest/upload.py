"""POST /v1/tracks: a recording streams in, and is a track or leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pydantic
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from api.answers import command_answer
from api.circumstances import issue_of
from api.rest.examples import UPLOAD
from api.rest.models import UploadAccepted
from api.rest.operations import MULTIPART_REFUSALS, command
from api.rest.routing import guarded
from api.rest.staging import staged_upload
from api.security.guard import producer
from api.services import services_of
from commands.upload import UploadFields
from domain.errors import Invalid

router = guarded("tracks")

_REPEATED = "tags"


def _form_schema() -> dict[str, Any]:
    schema = UploadFields.model_json_schema()
    for name, field in schema["properties"].items():
        # A form has no null: a field without a value is left out or empty.
        field |= field.pop("anyOf", [{}])[0]
        field |= {"examples": [UPLOAD[name]]} if name in UPLOAD else {}
    schema["properties"]["file"] = {
        "type": "string",
        "format": "binary",
        "description": "The recording: WAV, MP3, FLAC or Ogg, at most 50 MB and 20 minutes.",
    }
    schema["required"] = ["file", *schema["required"]]
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.post(
    "/v1/tracks",
    response_model=UploadAccepted,
    **command(
        producer,
        MULTIPART_REFUSALS,
        {415: ["not_audio", "undecodable"], 422: ["empty_file", "field_repeated", "audio_too_long"]},
        {503: ["storage_full"]},
        status=202,
        located=True,
        matches=False,
        requestBody=_form_schema(),
    ),
)
async def upload_track(request: Request) -> Response:
    """Upload a recording and queue its analysis."""
    services = services_of(request)
    issue = issue_of(request)
    async with staged_upload(request, services.incoming, services.limits) as (staged, form):
        answer = await services.uploads.accept(staged, upload_fields(form), issue)
    return command_answer(answer, f"/v1/tracks/{answer.body['track_id']}")


def upload_fields(form: list[tuple[str, str]]) -> UploadFields:
    """Return the form's fields. Raises Invalid or RequestValidationError.

    A field left empty counts as not given, as browsers send forms.
    """
    fields: dict[str, Any] = {}
    for name, value in form:
        if not value and name != "title":
            continue
        if name == _REPEATED:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise Invalid("field_repeated", f"send {name} once", name)
        else:
            fields[name] = value
    try:
        return UploadFields.model_validate(fields)
    except pydantic.ValidationError as error:
        raise RequestValidationError(
            [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        ) from error
