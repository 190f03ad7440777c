"""The view track_detail: everything on a track's page except the grids, which genesis_maps has.

{the fields of projections/track_fold.py, filename, media_type, audio {sha256, bytes}, versions {count},
current_version {...} | null, its artefacts {name: {sha256, bytes, media_type}}, job {...} | null}.
"""

from __future__ import annotations

from typing import Any

from domain.recorded import Recorded
from projections.track_fold import VERSION_REASONS, displaces, engine_of, moved, uploaded, with_engines
from projections.track_versions import version_made
from projections.view import Document, View, timestamp


def apply(document: Document | None, recorded: Recorded) -> Document | None:
    """Fold a track's event into its detail."""
    if document is None:
        return _first(recorded) if recorded.type == "track.uploaded" else None
    after = moved(document, recorded)
    if document["status"] == "archived":
        return after
    after["job"] = _job(document, recorded)
    after = with_engines(document, after, recorded)
    if recorded.type in VERSION_REASONS:
        after["versions"] = {"count": recorded.data["version"]}
        if displaces(document, recorded):
            current = version_made(recorded, engine_of(after, recorded))
            after["current_version"], after["artefacts"] = current, current["artefacts"]
    return after


def _first(recorded: Recorded) -> Document:
    data = recorded.data
    return {
        **uploaded(recorded),
        "filename": data["filename"],
        "media_type": data["media_type"],
        "audio": {"sha256": data["audio_sha256"], "bytes": data["audio_bytes"]},
        "current_version": None,
        "versions": {"count": 0},
        "artefacts": {},
        "job": None,
    }


def _job(document: Document, recorded: Recorded) -> dict[str, Any] | None:
    """Return the latest job. `reason` is why it ended without a result, `origin` why it was queued."""
    data, job = recorded.data, document["job"]
    match recorded.type:
        case "track.analysis_queued":
            return _queued(recorded, job)
        case "track.analysis_started":
            return {**job, "status": "running", "attempt": data["attempt"], "retry_at": None}
        case "track.analysis_failed":
            error = {"code": data["code"], "detail": data["detail"]}
            return {**job, "status": "retrying", "error": error, "retry_at": data["retry_at"]}
        case "track.analysis_abandoned":
            status = "cancelled" if data["reason"] == "cancelled" else "dead"
            error = {"code": data["reason"], "detail": data["detail"]}
            ended = {"status": status, "reason": data["reason"], "error": error, "retry_at": None}
            return {**job, **ended}
        case "track.analysis_completed":
            done = {"status": "completed", "error": None, "retry_at": None}
            return {**job, **done, "disagreement": _disagreement(document, recorded)}
        case "track.beat_override_reverted":
            return {**job, "disagreement": None}
        case _:
            return job


def _queued(recorded: Recorded, before: dict[str, Any] | None) -> dict[str, Any]:
    data = recorded.data
    return {
        "job_id": data["job_id"],
        "number": data["number"],
        "status": "queued",
        "attempt": 0,
        "origin": data["reason"],
        "preset": data["preset"],
        "bpm_hint": data["bpm_hint"],
        "engine": data["engine"],
        "priority": data["priority"],
        "queued_at": timestamp(recorded.recorded_at),
        "reason": None,
        "error": None,
        "retry_at": None,
        "disagreement": before and before["disagreement"],
    }


def _disagreement(document: Document, recorded: Recorded) -> dict[str, Any] | None:
    """Return how a new machine grid differs from the current human one; None if it replaced that."""
    if displaces(document, recorded):
        return None
    metrics = recorded.data["metrics"]
    return {
        "current_version": document["version"],
        "analysed_version": recorded.data["version"],
        **{name: metrics[name] for name in ("bpm", "f_measure", "cemgil")},
        "metrics_basis": metrics["basis"],
    }


TRACK_DETAIL = View(name="track_detail", version=2, categories=frozenset({"track"}), apply=apply)
