"""Silence has no beats, and it changes nothing about the beats of the music around it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.synth import synthesise

RATE = 22_050
SECONDS = 60
SONG = synthesise("edm", 128, SECONDS, sample_rate=RATE).samples


def beats(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.array(analyse(samples.astype(np.float32), AnalysisSettings(), lambda *_: None).beats_ms)


def silence(seconds: float) -> NDArray[np.float64]:
    return np.zeros(int(seconds * RATE))


@pytest.fixture(scope="module")
def alone() -> NDArray[np.float64]:
    return beats(SONG)


def test_music_with_an_offset_has_no_beats_in_the_silence_behind_it(alone: NDArray[np.float64]) -> None:
    """The silence keeps a level of its own when the mean of the music is taken off it."""
    found = beats(np.concatenate([SONG + 0.002, silence(20)]))
    assert found.max() < SECONDS * 1000
    assert found == pytest.approx(alone, abs=9.0)


@pytest.mark.parametrize("seconds", [20, 180, 600])
def test_silence_behind_a_song_leaves_its_grid_as_it_is(seconds: int, alone: NDArray[np.float64]) -> None:
    assert beats(np.concatenate([SONG, silence(seconds)])) == pytest.approx(alone, abs=9.0)


@pytest.mark.parametrize("seconds", [20, 180, 600])
def test_silence_before_a_song_leaves_its_grid_as_it_is(seconds: int, alone: NDArray[np.float64]) -> None:
    found = beats(np.concatenate([silence(seconds), SONG]))
    assert found - seconds * 1000 == pytest.approx(alone, abs=9.0)


@pytest.mark.parametrize("at_s", [30, 60])
def test_five_minutes_of_silence_in_between_leave_both_grids_as_they_are(
    at_s: int, alone: NDArray[np.float64]
) -> None:
    whole = np.concatenate([SONG, SONG]) if at_s == SECONDS else SONG
    true = np.concatenate([alone, alone + SECONDS * 1000]) if at_s == SECONDS else alone
    found = beats(np.concatenate([whole[: at_s * RATE], silence(300), whole[at_s * RATE :]]))
    expected = np.where(true < at_s * 1000, true, true + 300_000)
    assert found == pytest.approx(expected, abs=9.0)
