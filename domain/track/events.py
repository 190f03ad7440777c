"""What can happen to a track, as the log keeps it for ever. Times in ms from the start of the audio."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from domain.registry import Event, EventType

Preset = Literal["edm", "rock", "classical", "jazz", "auto"]
Engine = Literal["beatledger", "aubio"]
Basis = Literal["self-agreement", "user-reference"]


class Artefact(msgspec.Struct, frozen=True):
    """A file of the artefact store that belongs to a version."""

    sha256: str
    bytes: int
    media_type: str


class MetricsReference(msgspec.Struct, frozen=True):
    """What a grid was scored against: `kind` is agreement, override or a reference file's kind."""

    kind: str
    engine: str | None
    beats: int
    sha256: str | None = None


class Metrics(msgspec.Struct, frozen=True):
    """A version's figures; `f_measure` (±70 ms) and `cemgil` (σ 40 ms) are null where nothing supports them.

    `basis` says what they mean: an agreement between trackers, or a score against a user's beats.
    """

    duration_ms: float
    bpm: float | None
    f_measure: float | None
    cemgil: float | None
    basis: Basis
    reference: MetricsReference | None


class TrackUploaded(Event, frozen=True):
    """A recording was accepted: its audio is in the artefact store."""

    track_id: UUID
    title: str
    artist: str | None
    tags: tuple[str, ...]
    preset: Preset
    filename: str
    media_type: str
    audio_sha256: str
    audio_bytes: int
    duration_ms: float


class TrackDescribed(Event, frozen=True, omit_defaults=True):
    """Title, artist or tags were changed; what is left out stays. An empty artist removes the artist."""

    title: str | None = None
    artist: str | None = None
    tags: tuple[str, ...] | None = None


class AnalysisQueued(Event, frozen=True):
    """An analysis was asked for. Schema version 2 added `reason`."""

    job_id: UUID
    number: int
    preset: Preset
    bpm_hint: float | None
    engine: Engine
    priority: int
    reason: Literal["upload", "request", "requeue"]


class AnalysisStarted(Event, frozen=True):
    """A worker began an attempt."""

    job_id: UUID
    attempt: int
    worker: str


class VersionMade(Event, frozen=True):
    """What every event that makes a track version carries: the whole grid, its score, its files."""

    version: int
    beats_ms: tuple[float, ...]
    downbeats_ms: tuple[float, ...]
    metrics: Metrics
    artefacts: dict[str, Artefact]
    map_sha256: str
    warnings: tuple[str, ...]
    firmware_min_version: str


class AnalysisCompleted(VersionMade, frozen=True):
    """An attempt delivered; its result is a new version (current, unless a human override stands)."""

    job_id: UUID
    attempt: int
    engine: str
    settings: dict[str, Any]
    took_ms: float


class AnalysisFailed(Event, frozen=True):
    """An attempt failed and will be retried at `retry_at`."""

    job_id: UUID
    attempt: int
    code: str
    detail: str
    retry_at: datetime


class AnalysisAbandoned(Event, frozen=True):
    """The job ended without a result; no attempt will follow."""

    job_id: UUID
    reason: Literal["exhausted", "undecodable", "too_long", "cancelled"]
    detail: str


class BeatOverrideApplied(VersionMade, frozen=True):
    """A human corrected the grid."""

    base_version: int
    edit: dict[str, Any]
    note: str | None


class BeatOverrideReverted(VersionMade, frozen=True):
    """The human correction was taken back; the machine grid of version `restores` is current again."""

    restores: int


class ReferenceGiven(VersionMade, frozen=True):
    """Reference beats were given; the current grid is scored against them from here on."""

    kind: str
    sha256: str
    reference_ms: tuple[float, ...]


class TrackArchived(Event, frozen=True):
    """The track left the lists; its history stays."""

    reason: str | None


TrackEvent = (
    TrackUploaded
    | TrackDescribed
    | AnalysisQueued
    | AnalysisStarted
    | AnalysisCompleted
    | AnalysisFailed
    | AnalysisAbandoned
    | BeatOverrideApplied
    | BeatOverrideReverted
    | ReferenceGiven
    | TrackArchived
)
"""Every event of a track: a new one that `evolve` does not match fails the type check."""


def _queued_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    # Version 1 did not say why; only a track's first analysis came from its upload, and nothing requeued.
    return {**data, "reason": "upload" if data["number"] == 1 else "request"}


TRACK_EVENTS = (
    EventType("track.uploaded", TrackUploaded),
    EventType("track.described", TrackDescribed),
    EventType("track.analysis_queued", AnalysisQueued, 2, {1: _queued_v1_to_v2}),
    EventType("track.analysis_started", AnalysisStarted),
    EventType("track.analysis_completed", AnalysisCompleted),
    EventType("track.analysis_failed", AnalysisFailed),
    EventType("track.analysis_abandoned", AnalysisAbandoned),
    EventType("track.beat_override_applied", BeatOverrideApplied),
    EventType("track.beat_override_reverted", BeatOverrideReverted),
    EventType("track.reference_given", ReferenceGiven),
    EventType("track.archived", TrackArchived),
)
