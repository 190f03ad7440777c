"""The JSON Schemas of the files devices play from: the ones docs/schemas has, at an address of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from analysis import graph_document, map_document
from api.conditional import known_to_client
from api.rest.operations import query
from domain.errors import NotFound

router = APIRouter(tags=["schemas"])

SCHEMAS: Mapping[tuple[str, str], Callable[[], bytes]] = {
    ("genesis-map", "4.0.0"): map_document.earlier_json_schema,
    ("genesis-map", map_document.SCHEMA_VERSION): map_document.json_schema,
    ("graph-template", graph_document.SCHEMA_VERSION): graph_document.json_schema,
}
"""Every published schema, by name and version."""

MEDIA_TYPE = "application/schema+json"

_Name = Annotated[str, Path(description="Name of the schema.", examples=["genesis-map"])]
_Version = Annotated[str, Path(description="Version of the schema.", examples=[map_document.SCHEMA_VERSION])]


@router.get(
    "/v1/schemas/{name:segment}/{version:segment}",
    response_class=Response,
    **query(None, answers={200: {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}}),
    response_description="The JSON Schema.",
)
async def get_schema(request: Request, name: _Name, version: _Version) -> Response:
    """Return the JSON Schema of `genesis-map` or `graph-template`. Needs no token."""
    if (name, version) not in SCHEMAS:
        known = ", ".join("/".join(schema) for schema in SCHEMAS)
        raise NotFound(f"there is no such schema: ask for one of {known}")
    content, tag = _published(name, version)
    headers = {"ETag": tag, "Cache-Control": "public, no-cache"}
    if known_to_client(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPE)


@cache
def _published(name: str, version: str) -> tuple[bytes, str]:
    content = SCHEMAS[name, version]()
    return content, f'"{hashlib.sha256(content).hexdigest()}"'
