"""A track's events and commands with sensible contents, for tests to vary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from domain import ids
from domain.track import commands as c
from domain.track import events as e

TRACK = UUID("01900000-0000-7000-8000-000000000001")
JOB_1 = ids.job_id(TRACK, 1)
JOB_2 = ids.job_id(TRACK, 2)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEATS = (500.0, 1000.0, 1500.0, 2000.0)
DOWNBEATS = (500.0,)
METRICS = e.Metrics(
    60_000.0, 120.0, 0.97, 0.91, "self-agreement", e.MetricsReference("agreement", "flux+kl", 4)
)
ARTEFACTS = {"genesis-map": e.Artefact("a" * 64, 10, "application/json")}


def uploaded(**change: Any) -> e.TrackUploaded:
    event = e.TrackUploaded(
        TRACK, "Song", "Ada", ("x",), "edm", "song.wav", "audio/wav", "b" * 64, 1000, 60_000.0
    )
    return msgspec.structs.replace(event, **change)


def queued(number: int = 1, reason: str = "upload", **change: Any) -> e.AnalysisQueued:
    event = e.AnalysisQueued(ids.job_id(TRACK, number), number, "edm", None, "beatledger", 5, reason)
    return msgspec.structs.replace(event, **change)


def started(number: int = 1, attempt: int = 1) -> e.AnalysisStarted:
    return e.AnalysisStarted(ids.job_id(TRACK, number), attempt, "w1")


def failed(number: int = 1, attempt: int = 1) -> e.AnalysisFailed:
    return e.AnalysisFailed(ids.job_id(TRACK, number), attempt, "crashed", "SIGSEGV", NOON)


def abandoned(number: int = 1, reason: str = "exhausted", detail: str = "") -> e.AnalysisAbandoned:
    return e.AnalysisAbandoned(ids.job_id(TRACK, number), reason, detail)


def made(version: int) -> c.Made:
    return c.Made(version, METRICS, ARTEFACTS, "c" * 64, (), "1.0.0")


def version_fields(version: int, beats: tuple[float, ...], downbeats: tuple[float, ...]) -> dict[str, Any]:
    return {**msgspec.structs.asdict(made(version)), "beats_ms": beats, "downbeats_ms": downbeats}


def completed(version: int = 1, number: int = 1, attempt: int = 1, **change: Any) -> e.AnalysisCompleted:
    event = e.AnalysisCompleted(
        **version_fields(version, BEATS, DOWNBEATS),
        job_id=ids.job_id(TRACK, number),
        attempt=attempt,
        engine="beatledger 1",
        settings={},
        took_ms=5.0,
    )
    return msgspec.structs.replace(event, **change)


def overridden(version: int, beats: tuple[float, ...]) -> e.BeatOverrideApplied:
    return e.BeatOverrideApplied(
        **version_fields(version, beats, ()), base_version=version - 1, edit={"edit": "beats"}, note=None
    )


def reverted(version: int, restores: int) -> e.BeatOverrideReverted:
    return e.BeatOverrideReverted(**version_fields(version, BEATS, DOWNBEATS), restores=restores)


def upload(**change: Any) -> c.UploadTrack:
    fields: dict[str, Any] = {
        "track_id": TRACK,
        "title": "Song",
        "artist": "Ada",
        "tags": ("x",),
        "preset": "edm",
        "filename": "song.wav",
        "media_type": "audio/wav",
        "audio_sha256": "b" * 64,
        "audio_bytes": 1000,
        "duration_ms": 60_000.0,
    }
    return c.UploadTrack(**{**fields, **change})


def complete(number: int = 1, attempt: int = 1, version: int = 1) -> c.CompleteAnalysis:
    return c.CompleteAnalysis(
        track_id=TRACK,
        job_id=ids.job_id(TRACK, number),
        attempt=attempt,
        engine="beatledger 1",
        settings={},
        beats_ms=BEATS,
        downbeats_ms=DOWNBEATS,
        took_ms=5.0,
        made=made(version),
    )


def fail(number: int = 1, attempt: int = 1, code: str = "crashed") -> c.FailAnalysis:
    return c.FailAnalysis(
        track_id=TRACK,
        job_id=ids.job_id(TRACK, number),
        attempt=attempt,
        code=code,
        detail="SIGSEGV",
        failed_at=NOON,
    )


def start(number: int = 1, attempt: int = 1) -> c.StartAnalysis:
    return c.StartAnalysis(track_id=TRACK, job_id=ids.job_id(TRACK, number), attempt=attempt, worker="w1")


def override(version: int, **edit: Any) -> c.ApplyBeatOverride:
    return c.ApplyBeatOverride.model_validate({"track_id": TRACK, "edit": edit, "made": made(version)})
