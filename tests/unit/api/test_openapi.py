"""The OpenAPI description in the repository is that of the code, and complete."""

from __future__ import annotations

import json

from api.openapi import document
from tests.unit.api.codes import ROOT

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
