"""The view genesis_maps: an entry per track version, `{track_id}:{version}`, with its grid and metrics.

The artefact has the whole map with every layer; this view serves beats, dashboards and comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.recorded import Recorded
from projections.track_fold import VERSION_REASONS, engine_of, moved, uploaded, with_engines
from projections.view import Document, View, timestamp


def apply(document: Document | None, recorded: Recorded) -> Document | None:
    """Keep the data of later entries: the file's name and hash, and the engines."""
    data = recorded.data
    if document is None:
        if recorded.type != "track.uploaded":
            return None
        audio = {"filename": data["filename"], "audio_sha256": data["audio_sha256"]}
        return {**uploaded(recorded), **audio}
    return with_engines(document, moved(document, recorded), recorded)


def entries(document: Document | None, recorded: Recorded) -> Iterable[tuple[str, Document]]:
    """Yield the entry of an event that makes a version."""
    if document is None or recorded.type not in VERSION_REASONS:
        return
    data, metrics = recorded.data, recorded.data["metrics"]
    yield (
        f"{recorded.stream}:{data['version']}",
        {
            "track_id": str(recorded.stream),
            "version": data["version"],
            "revision": recorded.revision,
            "reason": VERSION_REASONS[recorded.type],
            "created_at": timestamp(recorded.recorded_at),
            "metadata": _metadata(document, recorded),
            "global_metrics": {
                "duration_ms": metrics["duration_ms"],
                "bpm": metrics["bpm"],
                "f_measure": metrics["f_measure"],
                "cemgil": metrics["cemgil"],
                "metrics_basis": metrics["basis"],
                "metrics_reference": metrics["reference"],
            },
            "beats_ms": data["beats_ms"],
            "downbeats_ms": data["downbeats_ms"],
            "warnings": data["warnings"],
        },
    )


def _metadata(document: Document, recorded: Recorded) -> dict[str, Any]:
    data = recorded.data
    return {
        "filename": document["filename"],
        "analysis_engine": engine_of(document, recorded),
        "timestamp": timestamp(recorded.recorded_at),
        "hashes": {"audio_sha256": document["audio_sha256"], "map_sha256": data["map_sha256"]},
    }


GENESIS_MAPS = View(
    name="genesis_maps",
    version=2,
    categories=frozenset({"track"}),
    apply=apply,
    entries=entries,
    fields={"track_id": "text", "version": "number"},
    indexes=(("track_id", "version"),),
)
