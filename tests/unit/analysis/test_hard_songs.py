"""Songs that the recipe once failed on, tracked without a word about their genre."""

import numpy as np
import pytest

from analysis import metrics
from analysis.patterns import Style
from analysis.pipeline import analyse
from analysis.result import Analysed, AnalysisSettings
from analysis.synth import Song, synthesise
from tests.unit.analysis import hard_songs

SEEDS = (0, 1)


def analysed(song: Song) -> Analysed:
    return analyse(song.samples, AnalysisSettings(), lambda *_: None)


def f_measure(song: Song) -> float:
    return metrics.f_measure(song.beats_ms, analysed(song).beats_ms)


def test_smooth_rubato_is_followed() -> None:
    assert np.mean([f_measure(hard_songs.rubato(0.08, seed)) for seed in range(4)]) >= 0.95


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_a_drummer_who_drifts_is_followed(seed: int) -> None:
    assert f_measure(hard_songs.drummer(seed)) >= 0.98


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("style", "bpm"), [("edm", 128), ("rock", 140)])
def test_half_a_beat_put_into_a_song_shifts_the_grid_behind_it(style: str, bpm: float, seed: int) -> None:
    song = hard_songs.half_beat_cut(style, bpm, seed)
    found = analysed(song)
    assert metrics.f_measure(song.beats_ms, found.beats_ms) >= 0.95
    assert metrics.f_measure(song.downbeats_ms, found.downbeats_ms) >= 0.9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bpm", [133, 150, 170])
def test_a_soft_kick_marks_the_beat_under_a_loud_off_beat(bpm: float, seed: int) -> None:
    assert f_measure(hard_songs.off_beat(bpm, seed)) >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_ballad_is_not_doubled(seed: int) -> None:
    assert f_measure(hard_songs.ballad(seed)) >= 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gigue_keeps_its_dotted_beat(seed: int) -> None:
    assert f_measure(hard_songs.gigue(seed)) >= 0.99


@pytest.mark.parametrize("bpm", [205, 218])
def test_fast_rock_is_not_halved(bpm: float) -> None:
    song = synthesise("rock", bpm, 60, sample_rate=hard_songs.RATE)
    assert f_measure(song) >= 0.9


@pytest.mark.parametrize("style", ["rock", "edm", "jazz"])
def test_half_as_fast_is_not_doubled(style: Style) -> None:
    song = synthesise(style, 102.5, 60, sample_rate=hard_songs.RATE)
    assert f_measure(song) >= 0.98


@pytest.mark.parametrize(("style", "metre"), [("waltz", 3), ("five", 5)])
def test_bars_of_three_and_five_are_told(style: Style, metre: int) -> None:
    song = synthesise(style, 120, 60, sample_rate=hard_songs.RATE)
    found = analysed(song)
    assert metrics.f_measure(song.downbeats_ms, found.downbeats_ms) >= 0.95
    assert found.layers["rhythm"]["beatsPerBar"] == metre
