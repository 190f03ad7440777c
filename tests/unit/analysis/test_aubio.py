"""What we compute in aubio's place is what aubio computes."""

import aubio
import numpy as np
import pytest

from analysis.aubio_trackers import onset_curves, onset_times
from analysis.patterns import Style
from analysis.sound import heard
from analysis.spectrum import Floats
from analysis.synth import synthesise

RATE = 22_050


def hops(samples: Floats) -> Floats:
    return np.pad(samples, (0, -len(samples) % 256)).reshape(-1, 256)


def centred(samples: Floats) -> Floats:
    return samples - heard(samples).offset


def test_our_divergence_is_aubio_s() -> None:
    """`specdesc("kl")` over `pvoc(512, 256)` of the levelled signal, up to float rounding."""
    samples = centred(synthesise("rock", 120, 6, sample_rate=RATE).samples)
    levelled = (samples * np.float32(0.1 / np.sqrt(np.mean(samples.astype(np.float64) ** 2)))).astype(
        np.float32
    )
    vocoder, divergence = aubio.pvoc(512, 256), aubio.specdesc("kl", 512)
    theirs = np.array([divergence(vocoder(hop))[0] for hop in hops(levelled)])
    assert onset_curves(heard(samples)).kl[: len(theirs)] == pytest.approx(theirs, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("style", ["edm", "rock", "jazz", "waltz", "strings"])
@pytest.mark.parametrize(("start", "gain"), [(0, 1.0), (8_000, 1.0), (0, 0.003)])
def test_our_onsets_are_those_of_aubio_s_default_detector(style: Style, start: int, gain: float) -> None:
    """From the start, from mid-sound, and so quiet that its silence gate counts."""
    samples = centred(synthesise(style, 120, 20, sample_rate=RATE).samples[start:] * np.float32(gain))
    detector = aubio.onset("default", 512, 256, RATE)
    theirs = [detector.get_last() * 1000 / RATE for hop in hops(samples) if detector(hop)[0]]
    assert len(theirs) > 10
    assert onset_times(heard(samples), onset_curves(heard(samples)).hfc) == pytest.approx(theirs, abs=0.1)
