"""Holds every answer that a test gets to the OpenAPI document: status, code, headers, media type, shape."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx2
import pydantic

from api.application import openapi, response_models
from api.rest.headers import ANSWERED

SOMETIMES = {"age", "idempotent-replayed", "accept-encoding", "vary"}
"""Declared headers that an answer may lack."""


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations by method and path template, those with fewer parameters first."""
    paths = sorted(openapi()["paths"].items(), key=lambda item: item[0].count("{"))
    return {(method.upper(), path): found for path, methods in paths for method, found in methods.items()}


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that serves a request; None for an address or method that the document lacks."""
    for (declared, template), operation in operations().items():
        pattern = "[^/:]+".join(map(re.escape, re.split(r"\{\w+\}", template)))
        if declared == method and re.fullmatch(pattern, path):
            return operation
    return None


async def check(response: httpx2.Response) -> None:
    """Fail unless the document declares this answer."""
    await response.aread()
    operation = operation_of(response.request.method, response.url.path)
    if operation is None:
        return
    told = f"{response.request.method} {response.url.path}: {response.status_code} {response.text[:200]}"
    declared = operation["responses"].get(str(response.status_code))
    assert declared, told
    _check_headers(response, declared, told)
    if response.status_code != 304:
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in declared["content"], told
    if response.status_code >= 400:
        assert response.json()["code"] in declared["x-codes"], told
    elif response.headers.get("content-type") == "application/json":
        _check_shape(operation, response)


def _check_headers(response: httpx2.Response, declared: dict[str, Any], told: str) -> None:
    known, listed = {name.lower() for name in ANSWERED}, {name.lower() for name in declared["headers"]}
    sent = known & {name.lower() for name in response.headers}
    if response.status_code >= 400:
        sent.discard("cache-control")
    assert sent <= listed, f"{told}: not declared: {sent - listed}"
    # A stream has no ETag: it is sent before its end is known.
    missing = listed - sent - ({"etag"} if "ndjson" in response.headers.get("content-type", "") else set())
    assert missing <= SOMETIMES, f"{told}: not sent: {missing}"


def _check_shape(operation: dict[str, Any], response: httpx2.Response) -> None:
    """Answers are open to new fields for clients; for us a field that the document lacks is a mistake."""
    model = response_models().get(operation["operationId"])
    if model is not None:
        pydantic.TypeAdapter[Any](model).validate_json(response.content, extra="forbid")
