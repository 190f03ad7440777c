"""Agreement tells whether others hear the same beats: not how long the grid is."""

import numpy as np
import pytest

from analysis.agreement import ENGINES, agreement, second_grids
from analysis.aubio_trackers import onset_curves
from analysis.cues import cues_of
from analysis.descriptors import describe
from analysis.passages import Passage
from analysis.result import Agreement
from analysis.sound import heard
from analysis.spectrum import Floats
from analysis.synth import synthesise

SONG = synthesise("rock", 110, 24, seed=5, sample_rate=22_050)
BEATS = np.array(SONG.beats_ms)

Heard = tuple[list[Passage], Floats, Floats]


@pytest.fixture(scope="module")
def curves() -> Heard:
    return listen(SONG.samples)


def listen(samples: Floats) -> Heard:
    sound = heard(samples)
    described = describe(sound)
    whole = slice(0, len(described.mel))
    return [Passage(whole, cues_of(described, whole))], described.mel, onset_curves(sound).kl


def confirmed(beats_ms: np.ndarray, curves: Heard) -> Agreement:
    found = agreement(beats_ms, second_grids(beats_ms, *curves))
    assert found is not None
    return found


def test_the_right_grid_is_confirmed_by_both(curves: Heard) -> None:
    found = confirmed(BEATS, curves)
    assert found.engines == ENGINES
    assert (found.f_measure, found.cemgil) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.06))
    assert found.beats == pytest.approx(2 * len(BEATS), abs=4)


def test_a_grid_half_a_beat_off_is_not(curves: Heard) -> None:
    assert confirmed(BEATS + 60_000 / 110 / 2, curves).f_measure < 0.1


def test_a_grid_of_a_part_of_the_song_is_judged_by_that_part(curves: Heard) -> None:
    assert confirmed(BEATS[12:28], curves).f_measure == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("bpm", [240, 300])
def test_a_tempo_that_only_a_hint_can_reach_is_confirmed_too(bpm: float) -> None:
    song = synthesise("jazz", bpm, 24, seed=5, sample_rate=22_050)
    found = confirmed(np.array(song.beats_ms), listen(song.samples))
    assert found.f_measure == pytest.approx(1, abs=0.02)


def test_seven_beats_are_too_few_to_tell(curves: Heard) -> None:
    assert agreement(BEATS[:7], second_grids(BEATS[:7], *curves)) is None
