"""The track's entries in the table of handlers: which stream each command is decided on, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commands.handler import Decider, Handler, Handlers, Prepare
from commands.versions import Versions
from domain.registry import Event
from domain.track import commands as c
from domain.track import events as e
from domain.track.decider import decide
from domain.track.state import FOLD_VERSION, INITIAL, Track, evolve

TRACK: Decider[Track, c.TrackCommand] = Decider(
    category="track",
    initial=INITIAL,
    decide=decide,
    evolve=evolve,
    state=Track,
    fold_version=FOLD_VERSION,
)

_MEASURED = frozenset({"media_type", "audio_bytes", "duration_ms"})
"""What the server found out about an upload: its SHA-256 says as much, and a new decoder measures anew."""


def track_handlers(versions: Versions) -> Handlers:
    """Return the handlers of all track commands. CompleteAnalysis needs a `prepare` with each issue."""
    return {
        c.UploadTrack: _handler(202, _uploaded, incidental=_MEASURED | {"track_id"}),
        c.DescribeTrack: _handler(),
        c.RequestAnalysis: _handler(202, _queued),
        c.RequeueAnalysis: _handler(202, _queued),
        c.CancelAnalysis: _handler(),
        c.StartAnalysis: _handler(),
        c.CompleteAnalysis: _handler(200, _version, incidental=frozenset({"took_ms"})),
        c.FailAnalysis: _handler(incidental=frozenset({"failed_at", "detail"})),
        c.ApplyBeatOverride: _handler(200, _version, versions.corrected),
        c.RevertBeatOverride: _handler(200, _version, versions.corrected),
        c.UploadReference: _handler(200, _version, versions.corrected),
        c.ArchiveTrack: _handler(),
    }


def _nothing(command: c.TrackCommand, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {}


def _handler(
    status: int = 200,
    body: Callable[[Any, tuple[Event, ...]], Mapping[str, Any]] = _nothing,
    prepare: Prepare[Track, Any] | None = None,
    incidental: frozenset[str] = frozenset(),
) -> Handler[Track, Any]:
    return Handler(
        TRACK,
        stream=lambda command: command.track_id,
        partition_key=lambda command: str(command.track_id),
        body=body,
        status=status,
        prepare=prepare,
        incidental=incidental,
    )


def _uploaded(command: c.UploadTrack, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"track_id": str(command.track_id), **_queued(command, events)}


def _queued(command: c.TrackCommand, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"job_id": next(str(event.job_id) for event in events if isinstance(event, e.AnalysisQueued))}


def _version(command: c.TrackCommand, events: tuple[Event, ...]) -> Mapping[str, Any]:
    return {"version": next(event.version for event in events if isinstance(event, e.VersionMade))}
