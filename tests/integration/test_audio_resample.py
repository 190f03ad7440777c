"""Any sample rate becomes 22,050 Hz: the sound stays in its place, and nothing is folded into it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.audio.resample import RATE, Resampler
from tests.integration.recordings import tone

RATES = [
    8_000,
    11_025,
    16_000,
    22_050,
    24_000,
    32_000,
    44_099,
    44_100,
    48_000,
    88_200,
    96_000,
    191_999,
    192_000,
]


def resampled(sound: NDArray[np.float32], rate: int, block: int = 10_000) -> NDArray[np.float32]:
    resampler = Resampler(rate)
    parts = [resampler.push(sound[start : start + block]) for start in range(0, len(sound), block)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_the_same_tone_at_the_same_place(rate: int) -> None:
    heard = resampled(tone(3, rate)[:, 0], rate)
    expected = tone(3, RATE)[:, 0]
    assert len(heard) == len(expected)
    # Half a sample off, as an odd rate may be, is 0.016 at 440 Hz.
    tolerance = 0.02 if rate in (44_099, 191_999) else 0.0002
    assert np.abs(heard - expected)[1000:-1000].max() < tolerance


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_what_22050_hz_cannot_hold_is_removed_not_folded(rate: int) -> None:
    heard = resampled(tone(1, rate, hertz=13_000)[:, 0], rate)
    assert np.abs(heard[1000:-1000]).max() < 0.5 * 10 ** (-60 / 20)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_what_the_analysis_looks_at_passes_almost_whole(rate: int) -> None:
    heard = resampled(tone(1, rate, hertz=9_500)[:, 0], rate)
    assert np.abs(heard[1000:-1000]).max() > 0.5 * 10 ** (-0.5 / 20)


@pytest.mark.parametrize("rate", [8_000, 44_099, 44_100, 48_000])
@pytest.mark.parametrize("block", [1, 37, 16_384])
def test_how_the_input_is_cut_into_blocks_makes_no_difference(rate: int, block: int) -> None:
    sound = np.random.default_rng(1).standard_normal(5_000).astype(np.float32)
    np.testing.assert_allclose(resampled(sound, rate, block), resampled(sound, rate, 5_000), atol=1e-5)


@pytest.mark.parametrize("rate", RATES)
def test_a_minute_later_nothing_has_drifted(rate: int) -> None:
    sound = np.zeros(60 * rate, np.float32)
    sound[59 * rate : 59 * rate + rate // 1000] = 1
    heard = resampled(sound, rate, 1 << 20)
    middle = np.average(np.arange(len(heard)), weights=np.square(heard)) / RATE
    assert middle == pytest.approx(59.0005, abs=0.0002)


def test_a_single_sample_and_nothing_are_sounds_too() -> None:
    assert len(resampled(np.ones(1, np.float32), 44_100)) in (0, 1)
    assert len(Resampler(44_100).finish()) == 0
