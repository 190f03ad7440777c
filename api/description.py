"""The OpenAPI document: FastAPI's, completed with what all operations have in common.

Refusals are listed by code in the description of each status, and as `x-codes`. Their shape is always
Problem, whose `code` stays an open text: a client must survive a code it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import problem
from api.rest.headers import answered, components
from api.rest.operations import CODES

_SCHEMAS = "#/components/schemas/"
_TRACED = ("Trace-Id", "X-Request-Id")
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "401": ("WWW-Authenticate",),
    "415": ("Accept-Encoding",),
    "416": ("Content-Range",),
    "503": ("Retry-After",),
}
_BODY_REFUSALS: Mapping[str, tuple[str, ...]] = {
    "400": ("malformed_body",),
    "413": ("too_large",),
    "415": ("unsupported_media_type",),
}
_MEANINGS: Mapping[str, str] = {
    "400": "The body can't be read",
    "401": "There is no valid access token",
    "403": "The token's roles do not allow this",
    "404": "There is no such resource",
    "409": "The state of the resource forbids this, or another change came first",
    "410": "The view was rebuilt since",
    "412": "The resource has changed since",
    "413": "The body or a part of it is too large",
    "415": "The body is of a type or encoding that is not read here",
    "416": "The range lies outside the file",
    "422": "A part of the request is wrong",
    "428": "A condition is missing",
    "500": "The server failed",
    "503": "The server can't do this now",
}
_TOKEN_REFUSALS: Mapping[str, tuple[str, ...]] = {
    "401": ("unauthenticated", "token_expired"),
    "403": ("forbidden",),
    "503": ("unavailable",),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the application's OpenAPI document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    shape = problem.Problem.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    document["components"]["schemas"] |= {**shape.pop("$defs", {}), "Problem": shape}
    for name in ("HTTPValidationError", "ValidationError"):
        # FastAPI's own refusals, which nothing here answers.
        document["components"]["schemas"].pop(name, None)
    document["components"]["headers"] = components()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation, document["components"]["schemas"])
    return document


def _complete(path: str, operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    for status, codes in _shared_refusals(path, operation):
        listed = responses.setdefault(status, {}).setdefault(CODES, [])
        listed += [code for code in codes if code not in listed]
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter)
    roles = next(iter(operation["security"][0].values())) if "security" in operation else []
    if roles:
        operation["description"] += f"\n\nRoles: {', '.join(roles)}."
    for status, response in responses.items():
        response["headers"] = {**response.get("headers", {}), **answered(_TRACED)}
        if CODES in response:
            _complete_refusal(status, response)
        elif status.startswith("2"):
            _complete_answer(response, schemas)
    operation["responses"] = dict(sorted(responses.items()))
    operation["responses"]["default"] = {
        "description": "Any other refusal.",
        "headers": answered(_TRACED),
        "content": _problem(),
    }


def _complete_parameter(parameter: dict[str, Any]) -> None:
    schema: dict[str, Any] = parameter["schema"]
    # A query has no null: a parameter without a value is left out.
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]
    # The documentation page fills in a parameter's own example and ignores those of its schema.
    if examples := schema.pop("examples", ()):
        parameter["example"] = examples[0]


def _shared_refusals(path: str, operation: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = [("500", ("internal",)), ("503", ("not_ready",))]
    if "security" in operation:
        found.extend(_TOKEN_REFUSALS.items())
    if "requestBody" in operation:
        found.extend(_BODY_REFUSALS.items())
    if "{" in path:
        found.append(("404", ("not_found",)))
    if "requestBody" in operation or any(p["in"] != "header" for p in operation.get("parameters", ())):
        found.append(("422", ("invalid_request",)))
    return found


def _complete_refusal(status: str, response: dict[str, Any]) -> None:
    codes = ", ".join(f"`{code}`" for code in response[CODES])
    response["description"] = f"{_MEANINGS[status]}: {codes}."
    response["headers"] |= answered(_HEADERS.get(status, ()))
    response["content"] = _problem()


def _complete_answer(response: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    if response["description"] != "Successful Response":
        return
    for media in response.get("content", {}).values():
        name = media["schema"].get("$ref", "").removeprefix(_SCHEMAS)
        response["description"] = schemas.get(name, {}).get("description", response["description"])


def _problem() -> dict[str, Any]:
    return {problem.MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}}
