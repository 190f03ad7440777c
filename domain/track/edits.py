"""Corrections of a beat grid by hand: what may be asked for, and the grid each yields."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal, assert_never

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import Invalid

MAX_BEATS = 20_000
MIN_INTERVAL_MS = 60.0
MAX_INTERVAL_MS = 30_000.0

# Strict: `true` or "100" is somebody's mistake, and would be in the log as a beat for ever.
Milliseconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]
BeatIndex = Annotated[int, Field(strict=True)]
Beats = Annotated[tuple[Milliseconds, ...], Field(max_length=MAX_BEATS)]


class Grid(msgspec.Struct, frozen=True):
    """Beats and the downbeats among them, in ms, strictly increasing."""

    beats_ms: tuple[float, ...]
    downbeats_ms: tuple[float, ...] = ()


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ExplicitBeats(_Edit):
    """Replaces the grid by these beats."""

    edit: Literal["beats"] = "beats"
    """May be left out: `beats_ms` alone says it."""
    beats_ms: Beats
    """Beats in milliseconds from the start of the audio: 2 to 20,000, in order, inside the recording, 60 ms
    to 30 s apart."""
    downbeats_ms: Beats = ()
    """Those of the beats that begin a bar."""


class Reshape(_Edit):
    """Mends the octave and phase errors that trackers make."""

    edit: Literal["double", "halve", "shift_half_beat"]
    """`double` adds a beat between each two, `halve` keeps every second one, `shift_half_beat` moves each by
    half a beat."""


class Offset(_Edit):
    """Moves every beat by the same time."""

    edit: Literal["offset"] = "offset"
    """Names this kind of edit."""
    offset_ms: Milliseconds
    """How much later each beat comes, in milliseconds; negative for earlier."""


class Stretch(_Edit):
    """Stretches the grid so that two of its beats lie where they were heard."""

    edit: Literal["stretch"] = "stretch"
    """Names this kind of edit."""
    anchors: tuple[tuple[BeatIndex, Milliseconds], tuple[BeatIndex, Milliseconds]]
    """Two pairs of a beat's index, from 0, and the time it shall have, in milliseconds."""


Edit = Annotated[ExplicitBeats | Reshape | Offset | Stretch, Field(discriminator="edit")]


def edited(grid: Grid, edit: Edit, duration_ms: float) -> Grid:
    """Return the corrected grid of a song of this length. Raises Invalid when none could be played from.

    Beats that an offset, a shift or a stretch moves out of the song are dropped; explicit beats outside it
    are an error.
    """
    if len(grid.beats_ms) < 2 and not isinstance(edit, ExplicitBeats):
        raise Invalid("beat_count", "the grid has no beats to edit: send beats_ms", "edit")
    match edit:
        case ExplicitBeats():
            beats, downbeats = edit.beats_ms, edit.downbeats_ms
        case Reshape():
            beats, downbeats = _reshaped(grid, edit.edit)
        case Offset():
            beats, downbeats = _moved(grid, lambda ms: ms + edit.offset_ms)
        case Stretch():
            beats, downbeats = _moved(grid, _stretch(grid, edit))
        case _:
            assert_never(edit)
    if not isinstance(edit, ExplicitBeats):
        beats = tuple(ms for ms in beats if 0 <= ms <= duration_ms)
        downbeats = tuple(ms for ms in downbeats if 0 <= ms <= duration_ms)
    result = Grid(tuple(round(ms, 3) for ms in beats), tuple(round(ms, 3) for ms in downbeats))
    check_beats(result.beats_ms, duration_ms)
    _check_downbeats(result)
    return result


def check_beats(beats: tuple[float, ...], duration_ms: float, field: str = "beats_ms") -> None:
    """Raise Invalid unless the beats can be played: enough, in order, inside the song, sanely spaced."""
    if not 2 <= len(beats) <= MAX_BEATS:
        raise Invalid("beat_count", f"a grid needs 2 to {MAX_BEATS} beats, this has {len(beats)}", field)
    if beats[0] < 0 or beats[-1] > duration_ms:
        raise Invalid("beat_outside", f"beats must lie between 0 and {duration_ms:g} ms", field)
    for index in range(1, len(beats)):
        step = beats[index] - beats[index - 1]
        if not MIN_INTERVAL_MS <= step <= MAX_INTERVAL_MS:
            raise Invalid(
                "beat_interval",
                f"beat {index} comes {step:g} ms after the one before; "
                f"{MIN_INTERVAL_MS:g} to {MAX_INTERVAL_MS:g} ms are possible",
                f"{field}[{index}]",
            )


def _check_downbeats(grid: Grid) -> None:
    beats = set(grid.beats_ms)
    for index, ms in enumerate(grid.downbeats_ms):
        if ms not in beats:
            raise Invalid(
                "downbeat_off_grid", "every downbeat must be one of the beats", f"downbeats_ms[{index}]"
            )
        if index and ms <= grid.downbeats_ms[index - 1]:
            raise Invalid("downbeat_order", "downbeats must increase", f"downbeats_ms[{index}]")


def _reshaped(
    grid: Grid, how: Literal["double", "halve", "shift_half_beat"]
) -> tuple[tuple[float, ...], ...]:
    beats = grid.beats_ms
    halfway = tuple((a + b) / 2 for a, b in pairwise(beats))
    match how:
        case "double":
            return tuple(sorted(beats + halfway)), grid.downbeats_ms
        case "halve":
            # Keep the half that holds the first downbeat: a bar goes on beginning where it began.
            first = beats.index(grid.downbeats_ms[0]) % 2 if grid.downbeats_ms else 0
            kept = beats[first::2]
            return kept, tuple(ms for ms in grid.downbeats_ms if ms in set(kept))
        case "shift_half_beat":
            last = beats[-1] + (beats[-1] - beats[-2]) / 2
            later = dict(zip(beats, (*halfway, last), strict=True))
            return tuple(later.values()), tuple(later[ms] for ms in grid.downbeats_ms)
        case _:
            assert_never(how)


def _moved(grid: Grid, move: Callable[[float], float]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(move, grid.beats_ms)), tuple(map(move, grid.downbeats_ms))


def _stretch(grid: Grid, edit: Stretch) -> Callable[[float], float]:
    (i, at_i), (j, at_j) = edit.anchors
    count = len(grid.beats_ms)
    if not (0 <= i < count and 0 <= j < count) or i == j:
        raise Invalid("anchor_index", f"anchors must name two different beats, 0 to {count - 1}", "anchors")
    old_i, old_j = grid.beats_ms[i], grid.beats_ms[j]
    scale = (at_j - at_i) / (old_j - old_i)
    if scale <= 0:
        raise Invalid("anchor_order", "the anchors must keep the order of the beats", "anchors")
    return lambda ms: at_i + (ms - old_i) * scale
