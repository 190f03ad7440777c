"""The map says how far to believe its grid, and what else it could be, one edit away."""

import numpy as np
import pytest

from analysis import metrics
from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.synth import Song, synthesise
from domain.track.edits import Grid, Reshape, edited
from tests.unit.analysis import hard_songs


def rhythm(song: Song, settings: AnalysisSettings | None = None) -> dict:
    return dict(analyse(song.samples, settings or AnalysisSettings(), lambda *_: None).layers["rhythm"])


@pytest.fixture(scope="module")
def plain() -> dict:
    return rhythm(synthesise("edm", 128, 60, sample_rate=hard_songs.RATE))


def test_a_plain_song_is_believed_in_every_part(plain: dict) -> None:
    assert plain["confidence"].keys() == {"beat", "octave", "phase", "metre"}
    assert min(plain["confidence"].values()) > 0.9


def test_the_phase_is_doubted_where_kick_and_cymbals_disagree(plain: dict) -> None:
    found = rhythm(hard_songs.off_beat(150, 0))
    assert found["confidence"]["phase"] < plain["confidence"]["phase"] - 0.1
    assert found["alternatives"][0]["edit"] == "shift_half_beat"


def test_the_beats_of_noise_are_believed_less(plain: dict) -> None:
    noise = np.random.default_rng(17).standard_normal(60 * hard_songs.RATE).astype(np.float32) * 0.1
    assert (
        rhythm(Song(noise, hard_songs.RATE, (), ()))["confidence"]["beat"] < plain["confidence"]["beat"] - 0.1
    )


def test_the_octave_of_a_slow_song_that_was_doubled_is_one_edit_away() -> None:
    song = synthesise("rock", 70, 60, sample_rate=hard_songs.RATE)
    found = rhythm(song, AnalysisSettings(bpm_hint=140))
    edits = {other["edit"]: other for other in found["alternatives"]}
    assert edits["halve"]["bpm"] == pytest.approx(70, rel=0.01)
    grid = Grid(tuple(found["beatGridMs"]), tuple(found["downbeatMs"]))
    halved = edited(grid, Reshape(edit="halve"), 60_000.0).beats_ms
    assert metrics.f_measure(song.beats_ms, halved) >= 0.95


def test_each_alternative_is_as_likely_as_the_grid_is_not(plain: dict) -> None:
    doubts = {"shift_half_beat": "phase", "double": "octave", "halve": "octave"}
    for other in plain["alternatives"]:
        assert other["confidence"] == pytest.approx(1 - plain["confidence"][doubts[other["edit"]]])
    likely = [other["confidence"] for other in plain["alternatives"]]
    assert likely == sorted(likely, reverse=True)


def test_too_few_beats_to_judge_have_neither() -> None:
    found = rhythm(synthesise("edm", 120, 3, sample_rate=hard_songs.RATE))
    assert "confidence" not in found
    assert "alternatives" not in found
