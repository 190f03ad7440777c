"""Serves the start page and the API's documentation."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.conditional import known_to_client

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}

# Swagger UI styles its elements in place and has its icons as data; scripts come from here alone.
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


@cache
def _page(name: str) -> tuple[bytes, str]:
    content = (_FOLDER / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()}"'


def _served(request: Request, name: str) -> Response:
    content, tag = _page(name)
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    if known_to_client(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[Path(name).suffix])


@router.get("/")
async def start(request: Request) -> Response:
    """Show where things are."""
    return _served(request, "index.html")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Show the API's documentation."""
    return _served(request, "docs.html")


@router.get("/docs/{name}")
async def docs_part(
    request: Request, name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "docs.js"]
) -> Response:
    """Serve what the documentation's page is made of."""
    return _served(request, name)
