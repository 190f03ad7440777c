"""The track's entries in the table of handlers: which stream each command is decided on, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands.handler import Handlers, on_stream
from commands.versions import Versions
from domain.decider import Target
from domain.registry import Event
from domain.track import commands as c
from domain.track import events as e
from domain.track.decider import TRACK
from domain.track.state import Track

_MEASURED = frozenset({"media_type", "audio_bytes", "duration_ms"})
"""What the server found out about an upload: its SHA-256 says as much, and a new decoder measures anew."""


def track_handlers(versions: Versions) -> Handlers:
    """Return the handlers of all track commands. CompleteAnalysis needs a `prepare` with each issue."""
    return {
        c.UploadTrack: on_stream(_track, 202, _uploaded, incidental=_MEASURED | {"track_id"}),
        c.DescribeTrack: on_stream(_track),
        c.RequestAnalysis: on_stream(_track, 202, _queued),
        c.RequeueAnalysis: on_stream(_track, 202, _queued),
        c.CancelAnalysis: on_stream(_track),
        c.StartAnalysis: on_stream(_track),
        c.CompleteAnalysis: on_stream(_track, 200, _version, incidental=frozenset({"took_ms"})),
        c.FailAnalysis: on_stream(_track, incidental=frozenset({"failed_at", "detail"})),
        c.ApplyBeatOverride: on_stream(_track, 200, _version, versions.corrected),
        c.RevertBeatOverride: on_stream(_track, 200, _version, versions.corrected),
        c.UploadReference: on_stream(_track, 200, _version, versions.corrected),
        c.ArchiveTrack: on_stream(_track),
    }


def _track(command: c.OnTrack) -> Target[Track]:
    return TRACK.at(command.track_id, str(command.track_id))


def _uploaded(command: c.UploadTrack, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"track_id": str(command.track_id), **_queued(command, events)}


def _queued(command: c.OnTrack, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"job_id": next(str(event.job_id) for event in events if isinstance(event, e.AnalysisQueued))}


def _version(command: c.OnTrack, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"version": next(event.version for event in events if isinstance(event, e.VersionMade))}
