"""`make contracts` writes the long-lived contracts to docs/, so that a change of them shows in a diff.

A published event version is never changed: that needs a new version and an upcaster (domain.published).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.openapi import document
from api.rest.schemas import SCHEMAS
from domain.events import REGISTRY
from domain.published import publish


def write(docs: Path) -> None:
    """Write events.json, openapi.json and the schemas of the files for devices. Raises ShapeChanged."""
    events = docs / "events.json"
    published = publish(REGISTRY, json.loads(events.read_text()))
    events.write_text(json.dumps(published, indent=2, sort_keys=True) + "\n")
    (docs / "openapi.json").write_text(document())
    for (name, version), schema in SCHEMAS.items():
        (docs / "schemas" / f"{name}-{version}.json").write_bytes(schema())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
