"""Makes track versions: scores the grid, renders the map, stores its files; the pipeline then decides.

Each preparation first decides on a placeholder. So a command that a rule refuses renders nothing and leaves
no file, and the rules are in one place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from analysis import genesis_map
from analysis.result import OF_THE_GRID, Agreement, Analysed
from commands.handler import Prepare
from commands.ports import Artefacts
from commands.scores import comparison, figures, global_metrics, warnings_with
from commands.version_files import (
    MANIFEST,
    MAP,
    METRICS,
    OF_THE_AUDIO,
    Files,
    Manifest,
    MetricsFile,
    VersionFile,
    files_of_analysis,
    files_of_grid,
    manifest,
    metrics_file,
)
from domain.track import commands as c
from domain.track import events as e
from domain.track.decider import decide, ready
from domain.track.state import Absent, Ready, Track, Version

_decode_metrics = msgspec.json.Decoder(MetricsFile).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode

V = TypeVar("V", c.CompleteAnalysis, c.ApplyBeatOverride, c.RevertBeatOverride, c.UploadReference)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A version, scored and rendered but not stored yet; `agreement` is that of its grid, if known.

    `files` must be stored; `kept` are those of an earlier version that this version shares.
    """

    metrics: e.Metrics
    agreement: Agreement | None
    map_sha256: str
    warnings: tuple[str, ...]
    files: Files
    kept: Mapping[str, e.Artefact] = field(default_factory=dict[str, e.Artefact])


@dataclass(frozen=True, slots=True)
class _Left:
    """The results of an analysis that later versions with its layers are made from."""

    map: bytes
    metrics: MetricsFile
    manifest: Manifest


class Versions:
    """Prepares the commands that make a version. `firmware_min_version` is what devices need to play it."""

    def __init__(
        self,
        artefacts: Artefacts,
        firmware_min_version: str = "1.0.0",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._artefacts = artefacts
        self._firmware_min_version = firmware_min_version
        self._clock = clock

    def completed(self, analysed: Analysed) -> Prepare[Track, c.CompleteAnalysis]:
        """Return the preparation of the command that delivers this result."""

        async def prepare(state: Track, command: c.CompleteAnalysis) -> c.CompleteAnalysis:
            event = _rehearsed(state, command)
            draft = await asyncio.to_thread(self._analysed, state, command, event, analysed)
            return await self._made(command, event.version, draft)

        return prepare

    async def corrected(self, state: Track, command: V) -> V:
        """Prepare an override, a revert or a reference: the latest analysis' map with another grid."""
        event = _rehearsed(state, command)
        track = ready(state)
        left = await self._left(track.machine)
        draft = await asyncio.to_thread(self._corrected, track, command, event, left)
        return await self._made(command, event.version, draft)

    def _analysed(
        self, state: Track, command: c.CompleteAnalysis, event: e.VersionMade, analysed: Analysed
    ) -> _Draft:
        assert not isinstance(state, Absent)  # the rehearsal would have raised
        given = comparison(state, command, event.beats_ms)
        metrics = figures(analysed.duration_ms, event.beats_ms, given, analysed.agreement)
        rendered = genesis_map.render(
            analysed,
            track_id=str(command.track_id),
            version=event.version,
            filename=state.profile.filename,
            timestamp=self._now(),
            audio_sha256=state.profile.audio_sha256,
            metrics=global_metrics(metrics),
        )
        return _Draft(
            metrics,
            analysed.agreement,
            rendered.map_sha256,
            warnings_with(metrics, analysed.warnings),
            {**files_of_grid(rendered), **files_of_analysis(analysed, state.profile.filename)},
        )

    def _corrected(self, track: Ready, command: c.OnTrack, event: e.VersionMade, left: _Left) -> _Draft:
        # Warnings about the analysis' grid do not apply to another grid; warnings about the audio do.
        own = event.beats_ms == track.machine.beats_ms
        agreement = left.metrics.agreement if own else None
        warnings = [w for w in left.manifest.warnings if own or w not in OF_THE_GRID]
        given = comparison(track, command, event.beats_ms)
        metrics = figures(left.metrics.duration_ms, event.beats_ms, given, agreement)
        rendered = genesis_map.with_grid(
            left.map,
            version=event.version,
            timestamp=self._now(),
            beats_ms=event.beats_ms,
            downbeats_ms=event.downbeats_ms,
            metrics=global_metrics(metrics),
        )
        return _Draft(
            metrics,
            agreement,
            rendered.map_sha256,
            warnings_with(metrics, warnings),
            files_of_grid(rendered),
            {name: track.machine.artefacts[name] for name in OF_THE_AUDIO if name in track.machine.artefacts},
        )

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def _left(self, version: Version) -> _Left:
        content = await asyncio.gather(
            *(self._artefacts.get(version.artefacts[name].sha256) for name in (MAP, METRICS, MANIFEST))
        )
        return _Left(
            content[0],
            _decode_metrics(content[1]),
            _decode_manifest(content[2]),
        )

    async def _made(self, command: V, version: int, draft: _Draft) -> V:
        metrics = metrics_file(command.track_id, version, draft.metrics, draft.agreement)
        made = c.Made(
            version=version,
            metrics=draft.metrics,
            artefacts={
                **draft.kept,
                **await self._stored({**draft.files, METRICS: VersionFile(msgspec.json.encode(metrics))}),
            },
            map_sha256=draft.map_sha256,
            warnings=draft.warnings,
            firmware_min_version=self._firmware_min_version,
        )
        listed = VersionFile(msgspec.json.encode(manifest(command.track_id, made)))
        stored = await self._stored({MANIFEST: listed})
        made = msgspec.structs.replace(made, artefacts={**made.artefacts, **stored})
        return command.model_copy(update={"made": made})

    async def _stored(self, files: Files) -> dict[str, e.Artefact]:
        stored = await asyncio.gather(*(self._artefacts.put(file.content) for file in files.values()))
        return {
            name: e.Artefact(put.sha256, put.bytes, file.media_type)
            for (name, file), put in zip(files.items(), stored, strict=True)
        }


def _rehearsed(state: Track, command: V) -> e.VersionMade:
    """Return the command's event without its files and metrics. Raises the errors of decide."""
    version = 1 + (state.latest if isinstance(state, Ready) else 0)
    placeholder = c.Made(version, figures(0.0, (), None, None), {}, "", (), "")
    (event,) = decide(state, command.model_copy(update={"made": placeholder}))
    assert isinstance(event, e.VersionMade)
    return event
