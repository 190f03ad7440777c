"""The text of docs/openapi.json, which `make contracts` writes. A test fails while it is old."""

from __future__ import annotations

import json

from api.application import openapi


def document() -> str:
    """Return the OpenAPI description as the repository keeps it."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
