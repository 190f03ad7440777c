"""Long ramps, odd metres, clicks and noise: followed where they can be, and honest where they cannot."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import metrics, pipeline
from analysis.patterns import Style
from analysis.pipeline import analyse
from analysis.result import Analysed, AnalysisSettings
from analysis.synth import synthesise

RATE = 22_050


def run(samples: NDArray[np.floating]) -> Analysed:
    return analyse(samples.astype(np.float32), AnalysisSettings(), lambda _stage, _percent: None)


def test_a_ramp_of_five_minutes_is_followed_from_end_to_end() -> None:
    song = synthesise("edm", 90, 300, seed=3, bpm_end=150, sample_rate=RATE)
    found = run(song.samples)
    assert metrics.f_measure(song.beats_ms, found.beats_ms) >= 0.99
    curve = np.array(found.layers["rhythm"]["tempoCurve"]["values"])[:-5]  # the last median has one side only
    assert curve == pytest.approx(90 + 60 * np.arange(len(curve)) / 300, abs=1.5)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("style", "metre", "bpm"),
    [("waltz", 3, 100), ("waltz", 3, 140), ("five", 5, 100), ("five", 5, 140)],
)
def test_bars_of_three_and_five_are_found(style: Style, metre: int, bpm: float) -> None:
    song = synthesise(style, bpm, 32, seed=3, sample_rate=RATE)
    assert song.downbeats_ms == song.beats_ms[::metre]
    found = run(song.samples)
    assert metrics.f_measure(song.downbeats_ms, found.downbeats_ms) >= 0.95
    assert found.layers["rhythm"]["beatsPerBar"] == metre


def test_bars_of_seven_have_the_right_beats_in_bars_of_four() -> None:
    song = synthesise("seven", 150, 32, seed=3, sample_rate=RATE)
    found = run(song.samples)
    assert metrics.f_measure(song.beats_ms, found.beats_ms) >= 0.98
    assert found.downbeats_ms == found.beats_ms[found.beats_ms.index(found.downbeats_ms[0]) :: 4]
    assert found.layers["rhythm"]["beatsPerBar"] == 4


def test_fast_eighths_in_seven_are_halved_and_every_beat_found_is_one_of_them() -> None:
    """The octave is a known limit: a `bpm_hint` or the edit `double` settles it."""
    song = synthesise("seven", 210, 32, seed=3, sample_rate=RATE)
    found = run(song.samples)
    assert found.bpm == pytest.approx(105, abs=0.5)
    distances = np.abs(np.subtract.outer(found.beats_ms, song.beats_ms)).min(axis=1)
    assert distances.max() < 70


@pytest.mark.parametrize("at_s", [0.0, 5.0, 9.99])
def test_one_click_anywhere_has_no_tempo_no_figures_and_says_why(at_s: float) -> None:
    samples = np.zeros(10 * RATE)
    samples[int(at_s * RATE) : int(at_s * RATE) + 20] = 0.9
    found = run(samples)
    assert len(found.beats_ms) <= 1
    assert (found.bpm, found.agreement, found.downbeats_ms) == (None, None, ())
    assert found.layers["rhythm"]["tempoCurve"] is None
    assert found.warnings == (pipeline.FEW_BEATS,)


@pytest.mark.parametrize("colour", ["white", "brown", "white at the noise floor"])
def test_noise_is_never_vouched_for(colour: str) -> None:
    noise = np.random.default_rng(17).standard_normal(30 * RATE)
    if colour == "brown":
        noise = np.cumsum(noise)
        noise -= np.convolve(noise, np.ones(2000) / 2000, mode="same")
    level = 1e-4 if colour.endswith("floor") else 0.1
    found = run(noise / np.abs(noise).max() * level)
    assert found.agreement is None or found.agreement.f_measure < 0.8
    assert all(0 <= beat <= found.duration_ms for beat in found.beats_ms)
    assert (found.agreement is None) == bool(found.warnings)
