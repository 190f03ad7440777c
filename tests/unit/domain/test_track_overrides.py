"""Corrections by hand: immutable versions beside the machine's, revertible, never displaced."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from domain.errors import Invalid, Rejected
from domain.track import commands as c
from domain.track import events as e
from domain.track.edits import MAX_BEATS, ExplicitBeats
from tests.unit.domain import tracks as t
from tests.unit.domain.specification import given

READY = (t.uploaded(), t.queued(), t.started(), t.completed())
MINE = (600.0, 1100.0, 1600.0)


@pytest.mark.parametrize(
    ("edit", "beats", "downbeats"),
    [
        ({"beats_ms": MINE, "edit": "beats"}, MINE, ()),
        ({"edit": "double"}, (500.0, 750.0, 1000.0, 1250.0, 1500.0, 1750.0, 2000.0), (500.0,)),
        ({"edit": "halve"}, (500.0, 1500.0), (500.0,)),
        ({"edit": "shift_half_beat"}, (750.0, 1250.0, 1750.0, 2250.0), (750.0,)),
        ({"edit": "offset", "offset_ms": -20}, (480.0, 980.0, 1480.0, 1980.0), (480.0,)),
        ({"edit": "offset", "offset_ms": -600}, (400.0, 900.0, 1400.0), ()),
        ({"edit": "stretch", "anchors": [[0, 500], [2, 1600]]}, (500.0, 1050.0, 1600.0, 2150.0), (500.0,)),
    ],
)
def test_each_edit_yields_its_grid(edit: dict[str, Any], beats: Any, downbeats: Any):
    plain = {k: v for k, v in edit.items() if k != "beats_ms"}
    if "anchors" in plain:
        plain["anchors"] = [[0, 500.0], [2, 1600.0]]
    given(*READY).when(t.override(2, **edit)).then(
        e.BeatOverrideApplied(**t.version_fields(2, beats, downbeats), base_version=1, edit=plain, note=None)
    )


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        ({"edit": "beats", "beats_ms": (500.0,)}, "beat_count"),
        ({"edit": "beats", "beats_ms": ()}, "beat_count"),
        ({"edit": "beats", "beats_ms": (500.0, 500.0)}, "beat_interval"),
        ({"edit": "beats", "beats_ms": (1000.0, 500.0)}, "beat_interval"),
        ({"edit": "beats", "beats_ms": (500.0, 530.0)}, "beat_interval"),
        ({"edit": "beats", "beats_ms": (-1.0, 500.0)}, "beat_outside"),
        ({"edit": "beats", "beats_ms": (500.0, 60_001.0)}, "beat_outside"),
        ({"edit": "beats", "beats_ms": MINE, "downbeats_ms": (700.0,)}, "downbeat_off_grid"),
        ({"edit": "beats", "beats_ms": MINE, "downbeats_ms": (1100.0, 600.0)}, "downbeat_order"),
        ({"edit": "offset", "offset_ms": 1e9}, "beat_count"),
        ({"edit": "stretch", "anchors": [[0, 500], [9, 900]]}, "anchor_index"),
        ({"edit": "stretch", "anchors": [[1, 500], [1, 900]]}, "anchor_index"),
        ({"edit": "stretch", "anchors": [[0, 900], [2, 500]]}, "anchor_order"),
    ],
)
def test_a_grid_nothing_could_play_from_is_invalid(edit: dict[str, Any], rule: str):
    given(*READY).when(t.override(2, **edit)).then_raises(Invalid, rule)


def test_more_beats_than_the_limit_is_no_command():
    with pytest.raises(ValueError, match="at most 20000"):
        t.override(2, edit="beats", beats_ms=tuple(float(n * 100) for n in range(MAX_BEATS + 1)))


@pytest.mark.parametrize("wrong", [True, "100", None])
@pytest.mark.parametrize(
    "edit",
    [
        lambda wrong: {"edit": "beats", "beats_ms": [wrong, 600]},
        lambda wrong: {"edit": "beats", "beats_ms": [100, 600], "downbeats_ms": [wrong]},
        lambda wrong: {"edit": "offset", "offset_ms": wrong},
        lambda wrong: {"edit": "stretch", "anchors": [[0, wrong], [2, 1600]]},
        lambda wrong: {"edit": "stretch", "anchors": [[wrong, 500], [2, 1600]]},
    ],
)
def test_what_is_not_a_number_is_no_beat(edit: Callable[[Any], dict[str, Any]], wrong: Any):
    with pytest.raises(ValidationError, match=r"valid (number|integer)"):
        t.override(2, **edit(wrong))


def test_whole_numbers_are_milliseconds_too():
    command = t.override(2, edit="beats", beats_ms=[100, 600])
    assert command.edit == ExplicitBeats(beats_ms=(100.0, 600.0))


def test_a_track_without_a_version_cannot_be_overridden():
    given(t.uploaded(), t.queued()).when(t.override(1, edit="double")).then_raises(Rejected, "no_version")


def test_a_second_override_builds_on_the_first():
    given(*READY, t.overridden(2, MINE)).when(t.override(3, edit="offset", offset_ms=10)).then(
        e.BeatOverrideApplied(
            **t.version_fields(3, (610.0, 1110.0, 1610.0), ()),
            base_version=2,
            edit={"edit": "offset", "offset_ms": 10.0},
            note=None,
        )
    )


def test_a_revert_restores_the_machine_grid_as_a_new_version():
    given(*READY, t.overridden(2, MINE)).when(c.RevertBeatOverride(track_id=t.TRACK, made=t.made(3))).then(
        t.reverted(3, restores=1)
    )


def test_without_an_override_there_is_nothing_to_revert():
    given(*READY).when(c.RevertBeatOverride(track_id=t.TRACK, made=t.made(2))).then_raises(
        Rejected, "no_override"
    )


def test_after_a_revert_there_is_nothing_more_to_revert():
    given(*READY, t.overridden(2, MINE), t.reverted(3, restores=1)).when(
        c.RevertBeatOverride(track_id=t.TRACK, made=t.made(4))
    ).then_raises(Rejected, "no_override")


def test_a_re_analysis_never_displaces_an_override():
    state = given(
        *READY, t.overridden(2, MINE), t.queued(2, "request"), t.started(2), t.completed(3, 2)
    ).state
    assert state.latest == 3
    assert state.current.number == 2
    assert state.machine.number == 3


def test_a_revert_after_a_re_analysis_restores_the_newest_machine_grid():
    given(*READY, t.overridden(2, MINE), t.queued(2, "request"), t.started(2), t.completed(3, 2)).when(
        c.RevertBeatOverride(track_id=t.TRACK, made=t.made(4))
    ).then(t.reverted(4, restores=3))


def test_reference_beats_make_a_version_of_the_same_grid():
    given(*READY).when(
        c.UploadReference(track_id=t.TRACK, kind="text", sha256="d" * 64, reference_ms=MINE, made=t.made(2))
    ).then(
        e.ReferenceGiven(
            **t.version_fields(2, t.BEATS, t.DOWNBEATS), kind="text", sha256="d" * 64, reference_ms=MINE
        )
    )


def test_reference_beats_outside_the_song_are_invalid():
    given(*READY).when(
        c.UploadReference(
            track_id=t.TRACK, kind="text", sha256="d" * 64, reference_ms=(1.0, 70_000.0), made=t.made(2)
        )
    ).then_raises(Invalid, "beat_outside")


def test_an_unprepared_version_is_a_programming_error():
    with pytest.raises(ValueError, match="not prepared for version 2"):
        given(*READY).when(t.override(7, edit="double")).then()
