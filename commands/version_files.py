"""The files of a track version: map, figures, graph, waveform, timings, and the manifest of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from analysis.genesis_map import RenderedMap, read_map
from analysis.graph_template import graph_template
from analysis.result import Agreement, Analysed
from analysis.stage_timings import speedscope
from commands.waveform import as_json
from domain.track import commands as c
from domain.track import events as e

MAP, METRICS, GRAPH, MANIFEST = "genesis-map", "metrics", "graph-template", "manifest"
PEAKS, PEAKS_BINARY, TIMINGS = "peaks", "peaks-binary", "timings"
OF_THE_AUDIO = (PEAKS, PEAKS_BINARY)
"""Files that do not depend on the grid: a correction's version has those of the analysis it corrects."""

JSON, BINARY = "application/json", "application/octet-stream"


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A file of a version, not stored yet."""

    content: bytes
    media_type: str = JSON


Files = Mapping[str, VersionFile]
"""By artefact name."""


class MetricsFile(e.Metrics, frozen=True, kw_only=True):
    """The artefact `metrics`.

    `agreement` is that of the trackers on this grid, kept also if the metrics compare with a user's beats:
    a revert to the machine's grid needs it. Null if it is unknown or there is none.
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


def files_of_grid(rendered: RenderedMap) -> Files:
    """Return the files that depend on the grid: the map, and the graph for the device."""
    graph = graph_template(read_map(rendered.content))
    return {MAP: VersionFile(rendered.content), GRAPH: VersionFile(msgspec.json.encode(graph))}


def files_of_analysis(analysed: Analysed, filename: str) -> Files:
    """Return the files that only an analysis can make: the waveform, and the duration of each stage."""
    files: dict[str, VersionFile] = {}
    if analysed.peaks:
        files[PEAKS] = VersionFile(as_json(analysed.peaks))
        files[PEAKS_BINARY] = VersionFile(analysed.peaks, BINARY)
    if analysed.stage_ms:
        files[TIMINGS] = VersionFile(speedscope(filename, analysed.stage_ms))
    return files


def manifest(track_id: UUID, made: c.Made) -> Manifest:
    """Return the manifest of a version that has all its other files."""
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
    """Return the metrics file: the metrics with the trackers' agreement."""
    return MetricsFile(
        **msgspec.structs.asdict(metrics), track_id=track_id, version=version, agreement=agreement
    )
