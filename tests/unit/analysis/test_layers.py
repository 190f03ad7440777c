"""The layers beside rhythm hold what their units and formulas say."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
import scipy.signal

from analysis.descriptors import Descriptors, describe
from analysis.layers import layers
from analysis.loudness import k_weighting, loudness
from analysis.map_document import Layers
from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.sound import heard
from analysis.spectrum import Floats
from analysis.synth import synthesise

RATE = 22_050


def sine(hz: float, dbfs: float, seconds: float = 10) -> Floats:
    t = np.arange(int(seconds * RATE)) / RATE
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def middle(envelope: dict[str, Any]) -> float:
    return float(np.median(envelope["values"]))


def of(samples: Floats) -> dict[str, Any]:
    return layers(heard(samples), describe(heard(samples)))


def k_weighted(described: Descriptors) -> Floats:
    return described.powers[:, -1]


@pytest.mark.parametrize(("hz", "band"), [(80, "bass"), (1000, "mids"), (6000, "highs")])
def test_a_tone_sounds_in_its_own_band_and_hardly_in_the_others(hz: float, band: str) -> None:
    frequency = of(sine(hz, -6))["frequency"]
    loud = {name: middle(envelope) * envelope["scale"] for name, envelope in frequency.items()}
    assert loud.pop(band) == pytest.approx(10 ** (-6 / 20) / 2**0.5, rel=0.01)
    assert max(loud.values()) < 0.01


def test_levels_of_a_sine_are_its_root_mean_square_and_its_top() -> None:
    dynamics = of(sine(997, -20))["dynamics"]
    assert middle(dynamics["rms"]) == pytest.approx(-23.0, abs=0.1)
    assert middle(dynamics["peak"]) == pytest.approx(-20.0, abs=0.1)


def test_loudness_of_the_calibration_tone_is_that_of_the_standard() -> None:
    """BS.1770-4: a full-scale 997 Hz sine in one channel reads -3.01 LKFS."""
    dynamics = of(sine(997, 0))["dynamics"]
    assert dynamics["integratedLufs"] == pytest.approx(-3.01, abs=0.02)
    assert dynamics["loudnessRangeLu"] == pytest.approx(0.0, abs=0.05)


def test_loudness_gates_out_the_quiet_part() -> None:
    """EBU Tech 3341, case 3, in one channel: 10 s at -36, 60 s at -23, 10 s at -36 read -23 LUFS."""
    parts = [sine(1000, level + 3.01, seconds) for level, seconds in ((-36, 10), (-23, 60), (-36, 10))]
    measured = loudness(k_weighted(describe(heard(np.concatenate(parts)))))
    assert measured.integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_loudness_range_of_two_levels_is_their_distance() -> None:
    """EBU Tech 3342, case 1: 20 s at -20 and 20 s at -30 LUFS read 10 LU."""
    samples = np.concatenate([sine(1000, -20, 20), sine(1000, -30, 20)])
    assert loudness(k_weighted(describe(heard(samples)))).range_lu == pytest.approx(10.0, abs=1.0)


def test_the_spectrum_s_loudness_is_that_of_the_filter_s() -> None:
    samples = synthesise("rock", 110, 15, sample_rate=RATE).samples
    shelf = (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    )
    high_pass = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
    at_48_khz = scipy.signal.resample_poly(samples.astype(np.float64), 320, 147)
    filtered = scipy.signal.lfilter(*high_pass, scipy.signal.lfilter(*shelf, at_48_khz))
    by_filter = 10 * np.log10(np.mean(filtered**2))
    by_spectrum = 10 * np.log10(np.mean(k_weighted(describe(heard(samples)))))
    assert by_spectrum == pytest.approx(by_filter, abs=0.1)
    assert 10 * np.log10(k_weighting(np.array([997.0], np.float32))[0]) == pytest.approx(0.691, abs=0.005)


def test_spectral_descriptors_of_a_tone_point_at_it_and_of_noise_are_flat() -> None:
    tone = of(sine(2000, -6))["spectral"]
    assert middle(tone["centroid"]) == pytest.approx(2000, abs=15)
    assert middle(tone["rolloff"]) == pytest.approx(2000, abs=40)
    assert middle(tone["flatness"]) < 0.01
    noise = of(np.random.default_rng(1).standard_normal(5 * RATE).astype(np.float32) * 0.1)["spectral"]
    assert middle(noise["flatness"]) > 0.4
    assert middle(noise["rolloff"]) == pytest.approx(0.85 * RATE / 2, rel=0.05)


def test_flux_is_largest_where_the_tone_begins() -> None:
    samples = np.concatenate([np.zeros(2 * RATE, np.float32), sine(500, -6, 2)])
    flux = of(samples)["spectral"]["flux"]
    at_ms = flux["startMs"] + int(np.argmax(flux["values"])) * 1000 / flux["rateHz"]
    assert at_ms == pytest.approx(2000, abs=50)


def test_envelopes_say_when_they_are() -> None:
    samples = np.zeros(4 * RATE, dtype=np.float32)
    samples[2 * RATE : 2 * RATE + 200] = 0.9
    peak = of(samples)["dynamics"]["peak"]
    at_ms = peak["startMs"] + int(np.argmax(peak["values"])) * 1000 / peak["rateHz"]
    assert at_ms == pytest.approx(2000, abs=1000 / peak["rateHz"])
    assert peak["rateHz"] == pytest.approx(21.53, abs=0.01)


@pytest.mark.parametrize("count", [300, 1024, 1025, 259 * 256 + 7])
def test_every_length_of_recording_has_layers_that_fit_the_schema(count: int) -> None:
    samples = np.random.default_rng(2).standard_normal(count).astype(np.float32) * 0.1
    found = analyse(samples, AnalysisSettings(), lambda _stage, _percent: None)
    read = msgspec.json.decode(json.dumps(found.layers, allow_nan=False), type=Layers)
    assert read.frequency is not None
    assert read.spectral is not None
    assert len(read.frequency.bass.values) == len(read.spectral.flux.values)
