"""Downbeats of four-beat music fall where the bar begins."""

import numpy as np
import pytest

from analysis import metrics
from analysis.patterns import Style
from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.synth import synthesise


@pytest.mark.parametrize(("style", "bpm"), [("edm", 126), ("rock", 100), ("rock", 140), ("jazz", 130)])
def test_the_first_beat_of_each_bar_is_found(style: Style, bpm: float) -> None:
    song = synthesise(style, bpm, 32, seed=2, sample_rate=22_050)
    found = analyse(song.samples, AnalysisSettings(), lambda _stage, _percent: None)
    assert metrics.f_measure(song.downbeats_ms, found.downbeats_ms) >= 0.95
    assert set(found.downbeats_ms) <= set(found.beats_ms)
    assert found.layers["rhythm"]["downbeatMs"] == list(found.downbeats_ms)
    assert found.layers["rhythm"]["beatsPerBar"] == 4


def test_too_few_beats_have_no_downbeats() -> None:
    song = synthesise("edm", 120, 3, sample_rate=22_050)
    found = analyse(song.samples, AnalysisSettings(), lambda _stage, _percent: None)
    assert 0 < len(found.beats_ms) < 8
    assert found.downbeats_ms == ()
    assert found.layers["rhythm"]["beatsPerBar"] is None


def test_downbeats_keep_to_the_beats_when_the_song_begins_in_mid_bar() -> None:
    song = synthesise("rock", 120, 32, seed=2, sample_rate=22_050)
    second_beat = int((song.beats_ms[1] - 100) * 22.05)
    found = analyse(song.samples[second_beat:], AnalysisSettings(), lambda _stage, _percent: None)
    expected = np.array(song.downbeats_ms[1:]) - second_beat / 22.05
    assert metrics.f_measure(expected.tolist(), found.downbeats_ms) >= 0.95
