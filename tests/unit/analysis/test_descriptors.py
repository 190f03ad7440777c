"""Block by block, with groups of bins and buffers used again, comes what the formulas give for the whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from analysis.descriptors import BANDS_HZ, describe
from analysis.result import UnusableSamples
from analysis.sound import heard
from analysis.spectrum import Floats, bin_hz, mel_filters
from analysis.synth import synthesise

OFFSET = 0.25


@pytest.fixture(scope="module")
def samples() -> Floats:
    """Ten seconds, some three and a half blocks, off centre."""
    return synthesise("rock", 110, 10, sample_rate=22_050).samples + np.float32(OFFSET)


@pytest.fixture(scope="module")
def spectra(samples: Floats) -> np.ndarray:
    """All magnitudes by numpy's transform in double precision, silence before and after the sound."""
    centred = np.pad(samples.astype(np.float64) - np.mean(samples, dtype=np.float64), 512)
    frames = np.lib.stride_tricks.sliding_window_view(centred, 1024)[::256]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    return np.abs(np.fft.rfft(frames * window, axis=1)) * 4 / 1024


def test_mel_bands_and_powers_are_the_sums_over_their_bins(samples: Floats, spectra: np.ndarray) -> None:
    found = describe(heard(samples))
    assert len(found.mel) == len(samples) // 256 + 1
    assert_allclose(found.mel, spectra @ mel_filters(), rtol=1e-3, atol=1e-7)
    for column, (low, high) in enumerate(BANDS_HZ.values()):
        inside = (low <= bin_hz()) & (bin_hz() < high)
        assert_allclose(
            found.powers[:, column], (spectra[:, inside] ** 2).sum(axis=1) / 3, rtol=1e-3, atol=1e-9
        )


def test_the_spectral_descriptors_are_those_of_the_formulas(samples: Floats, spectra: np.ndarray) -> None:
    found, sparse, hz = describe(heard(samples)), spectra[::4], bin_hz().astype(np.float64)
    power = sparse**2 + 1e-14
    assert_allclose(found.centroid, sparse @ hz / (sparse.sum(axis=1) + 1e-9), rtol=1e-3)
    assert_allclose(found.flatness, np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1), rtol=2e-2)
    before = np.vstack([np.zeros((1, 513)), sparse[:-1]])
    flux = np.sqrt((np.maximum(sparse - before, 0.0) ** 2).sum(axis=1))
    assert_allclose(found.flux, flux, rtol=1e-3, atol=1e-7)
    reached = np.cumsum(power, axis=1)
    expected = hz[(reached < 0.85 * reached[:, -1:]).sum(axis=1)]
    assert np.mean(np.abs(found.rolloff - expected) < 1) > 0.99  # a bin off where it is a matter of rounding


def test_levels_leave_the_offset_out(samples: Floats) -> None:
    sound = heard(samples)
    centred = samples - np.mean(samples, dtype=np.float64)
    whole = len(samples) // 1024
    assert float(sound.offset) == pytest.approx(OFFSET, abs=0.01)
    assert len(sound.power) == 4 * len(sound.peak) == 4 * (whole + 1)
    hops, groups = (centred[: whole * 1024].reshape(-1, size) for size in (256, 1024))
    assert_allclose(sound.power[: len(hops)], (hops**2).mean(axis=1), rtol=1e-3, atol=1e-9)
    assert_allclose(sound.peak[:whole], np.abs(groups).max(axis=1), atol=1e-6)
    assert_allclose(np.concatenate(list(sound.hops())).ravel()[: len(samples)], centred, atol=1e-6)


def test_one_sample_that_is_no_number_is_found_among_many() -> None:
    for value in (np.nan, np.inf, -np.inf):
        samples = np.full(200_000, 1e6, np.float32)
        samples[123_456] = value
        with pytest.raises(UnusableSamples):
            heard(samples)
