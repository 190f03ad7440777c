"""Writes docs/openapi.json: `python -m api.openapi docs/openapi.json`. A test fails while it is old."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.application import openapi


def document() -> str:
    """Return the OpenAPI description as the repository keeps it."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document())
