"""The JSON bodies that commands arrive in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from api.validation import UNION_TAG
from domain.command import Line, OptionalLine
from domain.track.commands import BpmHint, Note, Priority, Tags
from domain.track.edits import ExplicitBeats, Offset, Reshape, Stretch
from domain.track.events import Engine, Preset


class Body(BaseModel):
    """A JSON object without unknown keys; the text under a field is its description for clients."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrackPatch(Body):
    """The fields to change; a field that is left out stays as it is."""

    title: Line | None = None
    """New title; it can't be removed."""
    artist: OptionalLine | None = None
    """New artist; null or empty removes it."""
    tags: Tags | None = None
    """New tags, at most 10, instead of all old ones; null removes them."""


class AnalysisRequest(Body):
    """How to analyse; a field that is left out is as it was for the last analysis."""

    preset: Preset | None = None
    """Kind of music; `auto` lets the analysis decide."""
    bpm_hint: BpmHint | None = None
    """Tempo, in beats per minute, near which the analysis looks."""
    engine: Engine | None = None
    """Beat tracker to use."""
    priority: Priority | None = None
    """Priority; a higher one runs earlier."""


class ArchiveRequest(Body):
    """Why the track is archived."""

    reason: Note | None = None
    """The reason, for the history."""


class ExplicitOverride(ExplicitBeats):
    """Replaces the grid by these beats."""

    note: Note | None = None
    """A note for the history."""


class ReshapeOverride(Reshape):
    """Doubles or halves the beats, or shifts them by half a beat."""

    note: Note | None = None
    """A note for the history."""


class OffsetOverride(Offset):
    """Moves every beat by the same time."""

    note: Note | None = None
    """A note for the history."""


class StretchOverride(Stretch):
    """Stretches the grid so that two of its beats lie where they were heard."""

    note: Note | None = None
    """A note for the history."""


def _kind(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    edit: object = body.get("edit", "beats")  # pyright: ignore[reportUnknownMemberType]
    kinds = {"double": "reshape", "halve": "reshape", "shift_half_beat": "reshape"}
    return UNION_TAG + kinds.get(edit, edit) if isinstance(edit, str) else None


BeatOverride = Annotated[
    Annotated[ExplicitOverride, Tag(UNION_TAG + "beats")]
    | Annotated[ReshapeOverride, Tag(UNION_TAG + "reshape")]
    | Annotated[OffsetOverride, Tag(UNION_TAG + "offset")]
    | Annotated[StretchOverride, Tag(UNION_TAG + "stretch")],
    Discriminator(
        _kind,
        custom_error_type="edit_unknown",
        custom_error_message="give beats_ms, or an edit: double, halve, shift_half_beat, offset, stretch",
    ),
]
