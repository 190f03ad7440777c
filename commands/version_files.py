"""The files of a track version beside its map: its figures in full, and the manifest of what there is."""

from __future__ import annotations

from uuid import UUID

import msgspec

from analysis.result import Agreement
from domain.track import commands as c
from domain.track import events as e

MAP, METRICS, MANIFEST = "genesis-map", "metrics", "manifest"
JSON = "application/json"


class MetricsFile(e.Metrics, frozen=True, kw_only=True):
    """The artefact `metrics`.

    `agreement` is that of the trackers on this very grid, kept also where the figures rest on a user's beats:
    a revert to the machine's grid brings it back. Null where it is unknown or there is none.
    """

    track_id: UUID
    version: int
    agreement: Agreement | None


class ManifestEntry(msgspec.Struct, frozen=True):
    """A file of the version; `path` is where a bundle keeps it, `size` in bytes."""

    name: str
    path: str
    size: int
    sha256: str
    media_type: str


class Manifest(msgspec.Struct, frozen=True):
    """The artefact `manifest`: the version's other files, stored before it, so it is always complete."""

    track_id: UUID
    version: int
    status: str
    artefacts: tuple[ManifestEntry, ...]
    map_sha256: str
    warnings: tuple[str, ...]
    firmware_min_version: str


def manifest(track_id: UUID, made: c.Made) -> Manifest:
    """Return the manifest of a version that has all its files but this one."""
    entries = (
        ManifestEntry(
            name,
            f"tracks/{track_id}/versions/{made.version}/{name}",
            file.bytes,
            file.sha256,
            file.media_type,
        )
        for name, file in sorted(made.artefacts.items())
    )
    return Manifest(
        track_id,
        made.version,
        "complete",
        tuple(entries),
        made.map_sha256,
        made.warnings,
        made.firmware_min_version,
    )


def metrics_file(
    track_id: UUID, version: int, metrics: e.Metrics, agreement: Agreement | None
) -> MetricsFile:
    """Return the figures with what is kept beside them."""
    return MetricsFile(
        **msgspec.structs.asdict(metrics), track_id=track_id, version=version, agreement=agreement
    )
