"""The shapes of REST answers, as OpenAPI shows them.

Routes answer encoded bytes of the documents themselves; a test holds real answers against these models.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from commands.ports import JobStatus
from domain.track.events import Engine, Preset


class Shape(BaseModel):
    """An answer, exactly."""

    model_config = ConfigDict(extra="forbid")


TrackStatus = Literal["queued", "analysing", "ready", "failed", "archived"]
Reason = Literal["analysis", "override", "revert", "reference"]
Basis = Literal["self-agreement", "user-reference"]


class Moved(Shape):
    """Where a command led: the stream's revision, and the position in the whole log."""

    revision: int
    position: int


class UploadAccepted(Moved):
    """A track that waits for its first analysis."""

    track_id: UUID
    job_id: UUID


class JobAccepted(Moved):
    """An analysis that waits for a worker."""

    job_id: UUID


class VersionAccepted(Moved):
    """A new version. `version` is missing when nothing had to change."""

    version: int | None = None


class _Track(Shape):
    track_id: UUID
    title: str
    artist: str | None
    tags: list[str]
    preset: Preset
    status: TrackStatus
    overridden: bool
    bpm: float | None
    f_measure: float | None
    cemgil: float | None
    metrics_basis: Basis | None
    duration_ms: float
    created_at: AwareDatetime
    updated_at: AwareDatetime
    revision: int


class TrackRow(_Track):
    """A track in a list; times in ms, tempo in BPM, `version` the current one's number."""

    version: int | None


class TrackPage(Shape):
    """A page of tracks; `next_cursor` null = the last."""

    items: list[TrackRow]
    next_cursor: str | None


class ArtefactShape(Shape):
    """A file that belongs to a version."""

    sha256: str
    bytes: int
    media_type: str


class ReferenceShape(Shape):
    """What a grid was scored against."""

    kind: str
    engine: str | None
    beats: int
    sha256: str | None


class MetricsShape(Shape):
    """A version's figures; `basis` says what `f_measure` and `cemgil` compare."""

    duration_ms: float
    bpm: float | None
    f_measure: float | None
    cemgil: float | None
    basis: Basis
    reference: ReferenceShape | None


class VersionShape(Shape):
    """An immutable version: how it came about, by whom, and what it is made of."""

    number: int
    reason: Reason
    engine: str | None
    created_at: AwareDatetime
    by: str
    by_name: str | None
    revision: int
    base_version: int | None
    restores: int | None
    edit: dict[str, Any] | None
    note: str | None
    map_sha256: str
    metrics: MetricsShape
    artefacts: dict[str, ArtefactShape]
    warnings: list[str]
    firmware_min_version: str


class VersionPage(Shape):
    """A page of a track's versions, the first one first."""

    items: list[VersionShape]
    next_cursor: str | None


class VersionCount(Shape):
    """How many versions a track has, numbered from 1, and where they are listed."""

    count: int
    href: str


class VersionName(Shape):
    """Which version is current, and why there is one."""

    number: int
    reason: Reason


class ErrorShape(Shape):
    """Why an attempt or a job failed."""

    code: str
    detail: str


class TrackJob(Shape):
    """The latest analysis as the track's history tells it; GET /v1/jobs/{job_id} has the live percentage."""

    job_id: UUID
    number: int
    status: JobStatus
    attempt: int
    origin: Literal["upload", "request", "requeue"]
    preset: Preset
    bpm_hint: float | None
    engine: Engine
    priority: int
    queued_at: AwareDatetime
    reason: str | None
    error: ErrorShape | None
    retry_at: AwareDatetime | None
    disagreement: dict[str, Any] | None


class AudioShape(Shape):
    """The recording as it was uploaded."""

    sha256: str
    bytes: int


class TrackDetail(_Track):
    """All of a track but its grids."""

    version: VersionName | None
    filename: str
    media_type: str
    audio: AudioShape
    current_version: VersionShape | None
    metrics: MetricsShape | None
    versions: VersionCount
    artefacts: dict[str, ArtefactShape]
    job: TrackJob | None
    deployments: list[dict[str, Any]]


class BeatsShape(Shape):
    """A version's grid, in ms from the start of the audio."""

    track_id: UUID
    version: int
    revision: int
    bpm: float | None
    duration_ms: float
    beats_ms: list[float]
    downbeats_ms: list[float]


class ManifestFile(Shape):
    """One file of a version."""

    name: str
    path: str
    size: int
    sha256: str
    media_type: str


class JobShape(Shape):
    """A job of the queue. `percent` is live; `queue_position` counts from 1 while it waits."""

    job_id: UUID
    track_id: UUID
    number: int
    status: JobStatus
    priority: int
    attempt: int
    stage: str | None
    percent: float
    queued_at: AwareDatetime
    run_after: AwareDatetime
    error_code: str | None
    error_detail: str | None
    queue_position: int | None
    estimated_seconds: float | None


class JobList(Shape):
    """Jobs: running first, then in the order they will run, then the finished, newest first."""

    items: list[JobShape]


class EventShape(Shape):
    """An event as it was recorded; `actor_name` is null for services and for erased accounts."""

    position: int
    stream: UUID
    revision: int
    category: str
    event_id: UUID
    type: str
    schema_version: int
    recorded_at: AwareDatetime
    actor: str
    actor_name: str | None
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    traceparent: str | None
    data: dict[str, Any]


class EventPage(Shape):
    """Events in order; give `next_after` as `after` for those behind them, null = these were the last."""

    items: list[EventShape]
    next_after: int | None


class StateShape(Shape):
    """A track as it was: the state its rules see."""

    track_id: UUID
    revision: int
    position: int
    recorded_at: AwareDatetime
    status: TrackStatus
    state: dict[str, Any]


class ChangeShape(Shape):
    """A changed path; a grid is told by its count, ends and hash."""

    path: str
    old: Any
    new: Any


class DiffShape(Shape):
    """What differs between two revisions."""

    track_id: UUID
    from_revision: int
    to_revision: int
    changes: list[ChangeShape]


class Health(Shape):
    """The process answers. `checks` says how each part is that it needs."""

    status: Literal["ok"] = "ok"
    checks: dict[str, str] = Field(default_factory=dict)
