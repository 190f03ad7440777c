"""The view track_versions: an entry per track version, `{track_id}:{number}`, with its origin and its files.

Entries, not a list in the track's document: a list of 11,000 versions is larger than a document of MongoDB
may be, and each new version would write all of them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.recorded import Recorded
from projections.track_fold import VERSION_REASONS, engine_of, moved, uploaded, with_engines
from projections.view import Document, View, timestamp


def apply(document: Document | None, recorded: Recorded) -> Document | None:
    """Keep what later entries need: the engines behind the current and the latest analysed version."""
    if document is None:
        return uploaded(recorded) if recorded.type == "track.uploaded" else None
    return with_engines(document, moved(document, recorded), recorded)


def entries(document: Document | None, recorded: Recorded) -> Iterable[tuple[str, Document]]:
    """Yield the entry of an event that makes a version."""
    if document is None or recorded.type not in VERSION_REASONS or document["status"] == "archived":
        return
    version = version_made(recorded, engine_of(document, recorded))
    yield f"{recorded.stream}:{version['number']}", {"_track_id": str(recorded.stream), **version}


def version_made(recorded: Recorded, engine: str | None) -> dict[str, Any]:
    """Return the version an event makes, as readers see it."""
    data = recorded.data
    return {
        "number": data["version"],
        "reason": VERSION_REASONS[recorded.type],
        "engine": engine,
        "created_at": timestamp(recorded.recorded_at),
        "by": recorded.actor,
        "revision": recorded.revision,
        "base_version": data.get("base_version"),
        "restores": data.get("restores"),
        "edit": data.get("edit"),
        "note": data.get("note"),
        "map_sha256": data["map_sha256"],
        "metrics": data["metrics"],
        "artefacts": data["artefacts"],
        "warnings": data["warnings"],
        "firmware_min_version": data["firmware_min_version"],
    }


TRACK_VERSIONS = View(
    name="track_versions",
    version=1,
    categories=frozenset({"track"}),
    apply=apply,
    entries=entries,
    fields={"_track_id": "text", "number": "number"},
    indexes=(("_track_id", "number"),),
)
