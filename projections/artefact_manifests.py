"""The view artefact_manifests: an entry per track version, `{track_id}:{version}`, that lists its files."""

from __future__ import annotations

from collections.abc import Iterable

from domain.recorded import Recorded
from projections.track_fold import VERSION_REASONS
from projections.view import Document, View, timestamp


def apply(document: Document | None, recorded: Recorded) -> Document | None:
    """Return an empty document: each entry depends on its own event only."""
    return {}


def entries(document: Document | None, recorded: Recorded) -> Iterable[tuple[str, Document]]:
    """Yield the entry of an event that makes a version."""
    if recorded.type not in VERSION_REASONS:
        return
    data, version = recorded.data, recorded.data["version"]
    yield (
        f"{recorded.stream}:{version}",
        {
            "track_id": str(recorded.stream),
            "version": version,
            "revision": recorded.revision,
            "created_at": timestamp(recorded.recorded_at),
            # Artefacts are stored before the event that names them, so a version always has its files.
            "status": "complete",
            "artefacts": [
                {
                    "name": name,
                    "path": f"tracks/{recorded.stream}/versions/{version}/{name}",
                    "size": artefact["bytes"],
                    "sha256": artefact["sha256"],
                    "media_type": artefact["media_type"],
                }
                for name, artefact in sorted(data["artefacts"].items())
            ],
            "map_sha256": data["map_sha256"],
            "warnings": data["warnings"],
            "firmware_min_version": data["firmware_min_version"],
        },
    )


ARTEFACT_MANIFESTS = View(
    name="artefact_manifests",
    version=1,
    categories=frozenset({"track"}),
    apply=apply,
    entries=entries,
    fields={"track_id": "text", "version": "number"},
    indexes=(("track_id", "version"),),
)
