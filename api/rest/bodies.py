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
    """A JSON object without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TrackPatch(Body):
    """What to change; what is left out stays, null removes (a title can't be removed)."""

    title: Line | None = None
    artist: OptionalLine | None = None
    tags: Tags | None = None


class AnalysisRequest(Body):
    """How to analyse; what is left out is as the time before."""

    preset: Preset | None = None
    bpm_hint: BpmHint | None = None
    engine: Engine | None = None
    priority: Priority | None = None


class ArchiveRequest(Body):
    """Why the track leaves the lists."""

    reason: Note | None = None


class ExplicitOverride(ExplicitBeats):
    """These beats."""

    note: Note | None = None


class ReshapeOverride(Reshape):
    """Twice or half as many beats, or half a beat later."""

    note: Note | None = None


class OffsetOverride(Offset):
    """Every beat later or earlier."""

    note: Note | None = None


class StretchOverride(Stretch):
    """The grid through two beats as they were heard."""

    note: Note | None = None


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
