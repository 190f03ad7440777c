"""The common part of the list and the detail of tracks: the effect of each event on a track.

Mirrors `domain.track.state.evolve` without the grids, which would make every document as large as its map.
"""

from __future__ import annotations

from typing import Any, Final

from domain.recorded import Recorded
from projections.view import Document, timestamp

VERSION_REASONS: Final = {
    "track.analysis_completed": "analysis",
    "track.beat_override_applied": "override",
    "track.beat_override_reverted": "revert",
    "track.reference_given": "reference",
}
"""The events that make a version, and the reason that readers see."""


def uploaded(recorded: Recorded) -> Document:
    """Return the track after its upload."""
    data, at = recorded.data, timestamp(recorded.recorded_at)
    return {
        "track_id": data["track_id"],
        "title": data["title"],
        "artist": data["artist"],
        "tags": data["tags"],
        "preset": data["preset"],
        "status": "queued",
        "version": None,
        "overridden": False,
        "bpm": None,
        "f_measure": None,
        "cemgil": None,
        "metrics_basis": None,
        "duration_ms": data["duration_ms"],
        "created_at": at,
        "updated_at": at,
        "revision": recorded.revision,
    }


def moved(document: Document, recorded: Recorded) -> Document:
    """Return the track after any later event."""
    return {
        **document,
        **_changed(document, recorded),
        "updated_at": timestamp(recorded.recorded_at),
        "revision": recorded.revision,
    }


def _changed(document: Document, recorded: Recorded) -> Document:
    data = recorded.data
    if document["status"] == "archived":
        return {}
    match recorded.type:
        case "track.archived":
            return {"status": "archived"}
        case "track.described":
            return _described(document, recorded)
        case made if made in VERSION_REASONS:
            return _current(data, made) if displaces(document, recorded) else {}
        case _ if document["version"] is not None:
            # A re-analysis leaves a ready track ready.
            return {}
        case "track.analysis_started":
            return {"status": "analysing"}
        case "track.analysis_queued" | "track.analysis_failed":
            return {"status": "queued"}
        case "track.analysis_abandoned":
            return {"status": "failed"}
        case _:
            return {}


def displaces(document: Document, recorded: Recorded) -> bool:
    """Return True if a version becomes current: all do, except a re-analysis below a correction."""
    return recorded.type != "track.analysis_completed" or not document["overridden"]


def with_engines(before: Document, after: Document, recorded: Recorded) -> Document:
    """Return the track after an event, with the engines of its current and its latest analysed version.

    A version made by hand has the engine of the current version, on which it is based, or of the analysed
    one, which it restores; no other engine is needed.
    """
    if recorded.type not in VERSION_REASONS:
        return after
    based_on = "_analysed_engine" if "restores" in recorded.data else "_engine"
    engine = recorded.data.get("engine") or before.get(based_on)
    changed: Document = {}
    if recorded.type == "track.analysis_completed":
        changed["_analysed_engine"] = engine
    if displaces(before, recorded):
        changed["_engine"] = engine
    return {**after, **changed}


def engine_of(after: Document, recorded: Recorded) -> str | None:
    """Return the engine behind the version an event made, given the track `with_engines` after it."""
    return recorded.data.get("engine") or after["_engine"]


def _described(document: Document, recorded: Recorded) -> Document:
    given = {key: value for key, value in recorded.data.items() if value is not None}
    if "artist" in given:
        given["artist"] = given["artist"] or None
    return {key: given.get(key, document[key]) for key in ("title", "artist", "tags")}


def _current(data: Any, made: str) -> Document:
    metrics = data["metrics"]
    changed: Document = {
        "status": "ready",
        "version": data["version"],
        "bpm": metrics["bpm"],
        "f_measure": metrics["f_measure"],
        "cemgil": metrics["cemgil"],
        "metrics_basis": metrics["basis"],
    }
    if made != "track.reference_given":
        changed["overridden"] = made == "track.beat_override_applied"
    return changed
