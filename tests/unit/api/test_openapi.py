"""The OpenAPI description in the repository is that of the code, and complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api.openapi import document
from tests.unit.api.codes import ROOT
from tests.unit.api.test_problem import documented

KEPT = ROOT / "docs" / "openapi.json"
WITHOUT_TOKEN = {"/livez", "/readyz", "/startupz", "/v1/schemas/{name}/{version}"}


def test_the_description_in_the_repository_is_current() -> None:
    assert KEPT.read_text() == document(), "run: make contracts"


def test_every_operation_says_what_it_answers_and_how_it_refuses() -> None:
    for path, operations in json.loads(KEPT.read_text())["paths"].items():
        for method, operation in operations.items():
            told = f"{method} {path}"
            assert "application/problem+json" in operation["responses"]["default"]["content"], told
            success = next(r for status, r in operation["responses"].items() if status.startswith("2"))
            assert all(media != {"schema": {}} for media in success["content"].values()), told
            assert operation["description"], told
            assert ("security" in operation) == (path not in WITHOUT_TOKEN), told


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in json.loads(KEPT.read_text())["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_code_is_declared_where_it_can_come() -> None:
    """With the status that docs/errors.md gives it; the last ones come outside an operation."""
    declared = {
        (code, int(status))
        for _, operation in operations()
        for status, response in operation["responses"].items()
        for code in response.get("x-codes", ())
    }
    elsewhere = {"method_not_allowed", "expired", "track_exists", "stale_attempt", "sort", "unknown_event"}
    elsewhere |= {"enrolment_token_wrong", "enrolment_token_used", "enrolment_token_expired", "device_exists"}
    elsewhere |= {"device_not_enrolled", "device_retired", "device_leased", "device_busy", "lease_free"}
    elsewhere |= {"credential_superseded"}
    inside = {"duplicate_revision", "no_stream"}
    assert {code for code, _ in declared} == set(documented()) - elsewhere - inside
    assert all(documented()[code] == status for code, status in declared)


def test_every_operation_names_its_roles_headers_and_refusals() -> None:
    for told, operation in operations():
        responses = operation["responses"]
        if "security" in operation:
            (roles,) = operation["security"][0].values()
            assert roles, told
            assert f"Roles: {', '.join(roles)}." in operation["description"], told
            assert {"401", "403", "503"} <= set(responses), told
            assert "Retry-After" in responses["503"]["headers"], told
        if told.startswith("get /v1/"):
            assert "ETag" in responses["304"]["headers"], told
            assert "content" not in responses["304"], told
        if "202" in responses:
            assert "Location" in responses["202"]["headers"], told
        for response in responses.values():
            assert {"Trace-Id", "X-Request-Id"} <= set(response["headers"]), told


def test_every_property_and_parameter_is_described() -> None:
    for told, operation in operations():
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), f"{told} {parameter['name']}"
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for name, part in media["schema"].get("properties", {}).items():
                assert part.get("description"), f"{told} {name}"
    for name, schema in json.loads(KEPT.read_text())["components"]["schemas"].items():
        assert schema.get("description"), name
        for part, described in schema.get("properties", {}).items():
            assert described.get("description") or "$ref" in described, f"{name}.{part}"


def test_every_body_has_an_example() -> None:
    for told, operation in operations():
        for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
            if media_type == "application/json":
                assert media["examples"], told
                continue
            for name in set(media["schema"]["required"]) - {"file"}:
                assert media["schema"]["properties"][name]["examples"], f"{told} {name}"


def test_the_page_fills_in_nothing_that_changes_an_answer_unasked() -> None:
    """A prefilled Idempotency-Key returned the answer of the first trial."""
    for told, operation in operations():
        for parameter in operation.get("parameters", ()):
            shown = {"example", "examples"} & {*parameter, *parameter["schema"]}
            ids = parameter["name"] in ("track_id", "job_id")
            assert bool(shown) == (parameter["required"] and not ids), f"{told} {parameter['name']}"


def test_answers_are_open_to_new_fields() -> None:
    schemas = json.loads(KEPT.read_text())["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    sent = {"TrackPatch", "AnalysisRequest", "ArchiveRequest"}
    assert closed == sent | {f"{kind}Override" for kind in ("Explicit", "Reshape", "Offset", "Stretch")}


def test_what_a_change_needs_can_be_given_in_the_documentation_page() -> None:
    paths = json.loads(KEPT.read_text())["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            headers = {
                p["name"]: p["required"] for p in operation.get("parameters", []) if p["in"] == "header"
            }
            if method != "get":
                assert "Idempotency-Key" in headers, f"{method} {path}"
            assert headers.get("If-Match", False) == (method in ("put", "patch")), f"{method} {path}"


def test_every_reference_in_it_leads_somewhere() -> None:
    schema = json.loads(KEPT.read_text())
    for name in {text.split('"')[0] for text in KEPT.read_text().split("#/components/schemas/")[1:]}:
        assert name in schema["components"]["schemas"]
