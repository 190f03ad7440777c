"""The shapes of tracks: accepted, in a list, in detail."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from api.rest.models.jobs import TrackJob
from api.rest.models.shape import Moved, Shape
from api.rest.models.versions import ArtefactShape, MetricsShape, Reason, VersionCount, VersionShape
from domain.track.events import Basis, Preset

TrackStatus = Literal["queued", "analysing", "ready", "failed", "archived"]


class UploadAccepted(Moved):
    """The recording is accepted: a new track, and the job that analyses it."""

    track_id: UUID
    """Id of the new track."""
    job_id: UUID
    """Id of its first analysis job."""


class _Track(Shape):
    track_id: UUID
    """Id of the track."""
    title: str
    """Title, as the upload or a later change gave it."""
    artist: str | None
    """Artist; null if none was given."""
    tags: list[str]
    """Tags, in the order they were given."""
    preset: Preset
    """Kind of music that the upload named; `auto` lets the analysis decide."""
    status: TrackStatus
    """`queued` and `analysing` until the first version, `ready` with one, `failed` if the analysis ended
    without one, `archived` for good."""
    overridden: bool
    """Whether the current version is a correction by hand."""
    bpm: float | None
    """Tempo of the current version, in beats per minute."""
    f_measure: float | None
    """F-measure (±70 ms) of the current version, 0 to 1; `metrics_basis` names the comparison."""
    cemgil: float | None
    """Cemgil's accuracy (σ = 40 ms) of the current version, 0 to 1; `metrics_basis` names the comparison."""
    metrics_basis: Basis | None
    """`self-agreement`: independent trackers are compared with each other, which is no accuracy;
    `user-reference`: the grid is compared with beats that a person gave."""
    duration_ms: float
    """Length of the recording, in milliseconds."""
    created_at: AwareDatetime
    """When the upload was recorded."""
    updated_at: AwareDatetime
    """When the last event of the track was recorded."""
    revision: int
    """Number of the track's last event."""


class TrackRow(_Track):
    """A track in a list."""

    version: int | None
    """Number of the current version; null before the first one."""


class TrackPage(Shape):
    """A page of tracks."""

    items: list[TrackRow]
    """Tracks in the order of `sort`."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


class VersionName(Shape):
    """Names a version."""

    number: int
    """Number of the version."""
    reason: Reason
    """How the version was made."""


class AudioShape(Shape):
    """The recording as it was uploaded."""

    sha256: str
    """SHA-256 of the file, in hexadecimal."""
    bytes: int
    """Size of the file in bytes."""


class TrackDetail(_Track):
    """A track with its current version, its latest job and its figures, without its beats."""

    version: VersionName | None
    """Which version is current; null before the first one."""
    filename: str
    """Name of the uploaded file."""
    media_type: str
    """Media type that the file's content showed."""
    audio: AudioShape
    """The recording as it was uploaded."""
    current_version: VersionShape | None
    """The current version; null before the first one."""
    metrics: MetricsShape | None
    """Figures of the current version; null before the first one."""
    versions: VersionCount
    """How many versions there are, and where they are listed."""
    artefacts: dict[str, ArtefactShape]
    """Files of the current version by name."""
    job: TrackJob | None
    """The latest analysis job."""
    deployments: list[dict[str, Any]]
    """Deployments of the track to devices; none yet."""
