"""The dynamic programme works in blocks; it must give what the plain loop over frames gives."""

import numpy as np
import pytest

from analysis.beats import smoothed, track_beats
from analysis.cues import Cues
from analysis.refit import refit


def plain_chain(local: np.ndarray, periods: np.ndarray, tightness: float, block_of: list[int]) -> list[int]:
    """Ellis's programme frame by frame; the period is that of the frame's block, as in the code."""
    total, origin = np.zeros(len(local)), np.full(len(local), -1)
    for frame in range(len(local)):
        period = periods[block_of[frame]]
        best, chosen = 0.0, -1
        for distance in range(round(2 * period), max(round(period / 2), 1) - 1, -1):
            if frame - distance < 0:
                continue
            score = total[frame - distance] - tightness * np.log(distance / period) ** 2
            if score > best:
                best, chosen = score, frame - distance
        total[frame], origin[frame] = local[frame] + best, chosen
    tail = max(len(total) - int(np.ceil(periods[-1] * 1.5)), 0)
    chain = [tail + int(total[tail:].argmax())]
    while origin[chain[-1]] >= 0:
        chain.append(int(origin[chain[-1]]))
    return chain[::-1]


@pytest.mark.parametrize("tightness", [30.0, 300.0, 1500.0])
@pytest.mark.parametrize("seed", range(4))
def test_blocks_give_the_same_beats_as_a_loop_over_frames(seed: int, tightness: float) -> None:
    rng = np.random.default_rng(seed)
    onsets = np.maximum(rng.standard_normal(900), 0).astype(np.float32)
    onsets[20 :: int(rng.integers(30, 50))] += 4
    periods = np.linspace(30, 50, len(onsets))
    blocks: list[int] = []
    while len(blocks) < len(onsets):
        blocks += [len(blocks)] * max(round(periods[len(blocks)] / 2), 1)
    local = smoothed(onsets, float(np.median(periods)))
    expected = plain_chain(local, periods, tightness, blocks)
    found = track_beats(onsets, periods, tightness)
    assert np.round(found).tolist() == pytest.approx(expected, abs=1)
    assert len(found) == len(expected)


def clicks(period: float, beats: int) -> np.ndarray:
    curve = np.zeros(int(period * (beats + 1)), dtype=np.float32)
    curve[np.round(np.arange(1, beats + 1) * period).astype(int) - 1] = 1
    return curve


def cues(onsets: np.ndarray) -> Cues:
    return Cues(onsets, onsets[:, None], np.zeros_like(onsets))


def test_half_beat_flips_in_a_steady_song_are_put_right() -> None:
    true = np.arange(1, 101) * 43.07 - 1
    flipped = true.copy()
    flipped[40:60] += 43.07 / 2
    assert refit(flipped, cues(clicks(43.07, 100))) == pytest.approx(true, abs=2)


def test_a_ramp_is_no_steady_song_and_stays_as_it_is() -> None:
    ramp = np.cumsum(np.linspace(35, 50, 100))
    assert refit(ramp, cues(np.ones(5000, np.float32))) is ramp


def test_slow_drift_around_a_steady_tempo_is_kept() -> None:
    true = np.arange(1, 201) * 43.07
    drifting = true + 3 * np.sin(np.arange(200) / 60)
    assert refit(drifting, cues(clicks(43.07, 201))) == pytest.approx(drifting, abs=1.0)
