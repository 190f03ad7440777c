"""The shapes of versions, their figures, their files and their beats."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from api.rest.models.shape import Moved, Shape
from domain.track.events import Basis

Reason = Literal["analysis", "override", "revert", "reference"]


class VersionAccepted(Moved):
    """The grid has a new version, or nothing had to change."""

    version: int | None = None
    """Number of the new version; missing if nothing had to change."""


class ArtefactShape(Shape):
    """A file of a version."""

    sha256: str
    """SHA-256 of the file, in hexadecimal: its ETag."""
    bytes: int
    """Size of the file in bytes."""
    media_type: str
    """Media type of the file."""


class ReferenceShape(Shape):
    """The beats that a grid was compared with."""

    kind: str
    """`agreement`: other trackers; `override`: a correction by hand; else the kind of a reference file
    (`beat-times`, `jams`, `midi-tempo-map`)."""
    engine: str | None
    """Tracker that was compared, where the comparison is with trackers."""
    beats: int
    """Number of beats in the reference."""
    sha256: str | None
    """SHA-256 of the reference file, where there is one."""


class MetricsShape(Shape):
    """Figures of a version."""

    duration_ms: float
    """Length of the recording, in milliseconds."""
    bpm: float | None
    """Tempo in beats per minute; null if there are too few beats."""
    f_measure: float | None
    """F-measure (±70 ms), 0 to 1; null where nothing supports a figure."""
    cemgil: float | None
    """Cemgil's accuracy (σ = 40 ms), 0 to 1; null where nothing supports a figure."""
    basis: Basis
    """`self-agreement`: independent trackers are compared with each other, which is no accuracy;
    `user-reference`: the grid is compared with beats that a person gave."""
    reference: ReferenceShape | None
    """The beats that the grid was compared with."""


class VersionShape(Shape):
    """A version of a track's beat grid; it never changes."""

    number: int
    """Number of the version, from 1."""
    reason: Reason
    """How it was made: by an analysis, a correction by hand (`override`), the return to the analysis
    (`revert`), or a score against reference beats (`reference`)."""
    engine: str | None
    """Beat tracker that found the beats."""
    created_at: AwareDatetime
    """When the version was recorded."""
    by: str
    """Who made it: `user:ACCOUNT-ID` or `service:NAME`."""
    by_name: str | None
    """Name of that person; null for services and erased accounts."""
    revision: int
    """Number of the track's event that made the version."""
    base_version: int | None
    """Version that a correction was applied to."""
    restores: int | None
    """Version whose grid a `revert` made current again."""
    edit: dict[str, Any] | None
    """The correction as it was asked for, without explicit beats."""
    note: str | None
    """Note given with the correction."""
    map_sha256: str
    """SHA-256 of the Genesis Map without its own hashes."""
    metrics: MetricsShape
    """Figures of the version."""
    artefacts: dict[str, ArtefactShape]
    """Files of the version by name."""
    warnings: list[str]
    """Warnings for readers of the version, such as damage in the recording."""
    firmware_min_version: str
    """Oldest firmware of a device that can play the version."""


class VersionPage(Shape):
    """A page of a track's versions."""

    items: list[VersionShape]
    """Versions, the first one first."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


class VersionCount(Shape):
    """How many versions a track has, and where they are listed."""

    count: int
    """Number of versions; they are numbered from 1."""
    href: str
    """Address of the list."""


class BeatsShape(Shape):
    """A version's beat grid."""

    track_id: UUID
    """Id of the track."""
    version: int
    """Number of the version."""
    revision: int
    """Number of the track's event that made the version."""
    bpm: float | None
    """Tempo in beats per minute."""
    duration_ms: float
    """Length of the recording, in milliseconds."""
    beats_ms: list[float]
    """Beats in milliseconds from the start of the audio, strictly increasing."""
    downbeats_ms: list[float]
    """Those of the beats that begin a bar."""


class ManifestFile(Shape):
    """A file in a version's manifest."""

    name: str
    """Name of the file."""
    path: str
    """Path of the file in a device's storage."""
    size: int
    """Size of the file in bytes."""
    sha256: str
    """SHA-256 of the file, in hexadecimal."""
    media_type: str
    """Media type of the file."""
