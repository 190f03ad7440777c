"""The tempo path is the best of all there are, found without comparing every tempo with every other."""

import numpy as np
import pytest

from analysis.tempo import Prior, Tempogram

PRIOR = Prior(120, 1.2)
FRAME_RATE = 22_050 / 256


def plain_path(scores: np.ndarray, tempi: np.ndarray) -> list[int]:
    """Viterbi as in the books: each tempo of a second against each of the one before."""
    cost = 30.0 * np.abs(np.log2(tempi)[:, None] - np.log2(tempi))
    totals, origins = scores[0], []
    for row in scores[1:]:
        reached = totals[None, :] - cost
        origins.append(reached.argmax(axis=1))
        totals = reached.max(axis=1) + row
    path = [int(totals.argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return path[::-1]


def pulses(*bpm: float, seconds: float = 12.0) -> np.ndarray:
    """An onset function with strokes at one tempo after another."""
    onsets = np.zeros(round(seconds * len(bpm) * FRAME_RATE), np.float32)
    at = 0.0
    while at < len(onsets):
        onsets[int(at)] = 8.0  # as high as strokes are after levelling
        at += 60.0 * FRAME_RATE / bpm[min(int(at / FRAME_RATE / seconds), len(bpm) - 1)]
    return onsets


@pytest.mark.parametrize("seed", range(3))
def test_the_path_is_that_of_the_plain_programme(seed: int) -> None:
    onsets = np.random.default_rng(seed).random(2000).astype(np.float32)
    tempogram = Tempogram(onsets, PRIOR)
    scores = tempogram._scores * PRIOR.weights()
    expected = 60.0 * FRAME_RATE / PRIOR.tempi()[plain_path(scores, PRIOR.tempi())]
    found = tempogram.path(PRIOR)[:: round(FRAME_RATE)]
    assert found[: len(expected)] == pytest.approx(expected[: len(found)])


def test_the_path_follows_a_change_of_tempo() -> None:
    periods = Tempogram(pulses(100, 125), PRIOR).path(PRIOR)
    middle_of_each = periods[[round(6 * FRAME_RATE), round(18 * FRAME_RATE)]]
    assert 60.0 * FRAME_RATE / middle_of_each == pytest.approx([100, 125], rel=0.01)


@pytest.mark.parametrize("bpm", [20, 400])
def test_a_hint_at_either_end_of_what_may_be_asked_still_gives_a_path(bpm: float) -> None:
    hinted = Prior.hinted(bpm)
    periods = Tempogram(pulses(100), hinted).path(hinted)
    tempi = 60.0 * FRAME_RATE / periods
    assert bpm / 2**0.51 < tempi.min() <= tempi.max() < bpm * 2**0.51
