"""The recipe's promises on songs with exactly known beats."""

import numpy as np
import pytest

from analysis import metrics
from analysis.pipeline import analyse
from analysis.result import Analysed, AnalysisSettings, Preset
from analysis.synth import Change, Song, Style, synthesise

SECONDS = 32


def song(style: Style, bpm: float, bpm_end: float | None = None, change: Change = "ramp") -> Song:
    return synthesise(style, bpm, SECONDS, seed=3, bpm_end=bpm_end, change=change, sample_rate=22_050)


def analysed(played: Song, preset: Preset) -> Analysed:
    return analyse(played.samples, AnalysisSettings(preset=preset), lambda _stage, _percent: None)


def bias_ms(played: Song, found: Analysed) -> float:
    """Return the median of (found - true) over the beats found."""
    true, beats = np.array(played.beats_ms), np.array(found.beats_ms)
    nearest = beats[np.abs(beats[None, :] - true[:, None]).argmin(axis=1)]
    return float(np.median(nearest - true))


STEADY: list[tuple[Style, Preset, float]] = [
    *(("edm", "edm", bpm) for bpm in (100, 113, 128, 140, 150, 174)),
    *(("rock", "rock", bpm) for bpm in (85, 97, 120, 140, 165)),
    *(("jazz", "jazz", bpm) for bpm in (100, 125, 150, 175, 200)),
    *(("edm", "auto", bpm) for bpm in (100, 128, 174)),
    *(("rock", "auto", bpm) for bpm in (85, 120, 165)),
    *(("jazz", "auto", bpm) for bpm in (100, 150, 200)),
    *(("waltz", "auto", bpm) for bpm in (90, 150)),
]


@pytest.mark.parametrize(("style", "preset", "bpm"), STEADY)
def test_steady_songs_are_found_almost_perfectly(style: Style, preset: Preset, bpm: float) -> None:
    played = song(style, bpm)
    found = analysed(played, preset)
    assert metrics.f_measure(played.beats_ms, found.beats_ms) >= 0.98
    assert metrics.cemgil(played.beats_ms, found.beats_ms) >= 0.95
    assert abs(bias_ms(played, found)) < 8.0
    assert found.bpm == pytest.approx(bpm, rel=0.002)
    assert metrics.f_measure(played.downbeats_ms, found.downbeats_ms) >= 0.95


@pytest.mark.parametrize(
    ("style", "preset", "bpm", "bpm_end"),
    [
        ("edm", "edm", 110, 140),
        ("rock", "rock", 130, 95),
        ("jazz", "auto", 120, 150),
        ("edm", "auto", 125, 100),
    ],
)
def test_tempo_ramps_are_followed_to_the_last_beat(
    style: Style, preset: Preset, bpm: float, bpm_end: float
) -> None:
    played = song(style, bpm, bpm_end)
    found = analysed(played, preset)
    inside = [b for b in found.beats_ms if b < played.beats_ms[-1] + 70]  # the ring-out may bear one more
    assert metrics.f_measure(played.beats_ms, inside) == 1.0
    assert len(found.beats_ms) - len(inside) <= 1


def test_a_tempo_step_is_followed() -> None:
    played = song("rock", 110, 132, "step")
    found = analysed(played, "rock")
    assert metrics.f_measure(played.beats_ms, found.beats_ms) >= 0.95


def test_slow_strings_without_a_stroke_are_found() -> None:
    played = song("strings", 80)
    assert metrics.f_measure(played.beats_ms, analysed(played, "classical").beats_ms) >= 0.98


def test_a_hint_settles_the_octave() -> None:
    played = song("rock", 70)
    hinted = analyse(played.samples, AnalysisSettings(bpm_hint=72), lambda _stage, _percent: None)
    assert hinted.bpm == pytest.approx(70, rel=0.005)
    assert metrics.f_measure(played.beats_ms, hinted.beats_ms) >= 0.95


def test_our_tracker_beats_plain_aubio_where_beats_are_swung() -> None:
    played = song("jazz", 200)
    plain = analyse(played.samples, AnalysisSettings(engine="aubio"), lambda _stage, _percent: None)
    ours = analysed(played, "jazz")
    assert "aubio.tempo" in plain.engine
    assert metrics.f_measure(played.beats_ms, plain.beats_ms) < metrics.f_measure(
        played.beats_ms, ours.beats_ms
    )
