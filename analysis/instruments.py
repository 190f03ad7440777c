"""One-shot sounds for the synthesiser: plain enough to be exact, rich enough that a tracker has to work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def _time(seconds: float, sample_rate: int) -> NDArray[np.float64]:
    return np.arange(int(seconds * sample_rate)) / sample_rate


def _noise(rng: np.random.Generator, length: int, brightness: int) -> NDArray[np.float64]:
    """White noise, differenced `brightness` times: a cheap high-pass of 6 dB an octave each."""
    noise = rng.standard_normal(length + brightness)
    for _ in range(brightness):
        noise = np.diff(noise) / 1.4
    return noise


def kick(rng: np.random.Generator, sample_rate: int) -> Samples:
    """A sine falling from 170 to 45 Hz with a click on top."""
    t = _time(0.28, sample_rate)
    phase = 2 * np.pi * (45 * t + (125 / 30) * (1 - np.exp(-30 * t)))
    click = 0.25 * rng.standard_normal(t.size) * np.exp(-t * 700)
    return (np.sin(phase) * np.exp(-t * 14) + click).astype(np.float32)


def snare(rng: np.random.Generator, sample_rate: int) -> Samples:
    """A short 185 Hz tone under a burst of noise."""
    t = _time(0.22, sample_rate)
    tone = 0.5 * np.sin(2 * np.pi * 185 * t) * np.exp(-t * 30)
    return (tone + 0.45 * _noise(rng, t.size, 1) * np.exp(-t * 22)).astype(np.float32)


def hat(rng: np.random.Generator, sample_rate: int) -> Samples:
    """A closed hi-hat."""
    t = _time(0.06, sample_rate)
    return (0.3 * _noise(rng, t.size, 2) * np.exp(-t * 70)).astype(np.float32)


def ride(rng: np.random.Generator, sample_rate: int) -> Samples:
    """A ride cymbal: a ping of inharmonic partials over a longer wash."""
    t = _time(0.4, sample_rate)
    ping = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (3130.0, 4270.0, 5890.0, 7410.0))
    wash = _noise(rng, t.size, 2) * np.exp(-t * 12)
    return (0.08 * ping * np.exp(-t * 25) + 0.15 * wash).astype(np.float32)


def note(midi: float, seconds: float, attack_s: float, harmonics: int, sample_rate: int) -> Samples:
    """A decaying tone of `harmonics` partials (amplitudes 1/k) that rises within `attack_s`."""
    t = _time(seconds, sample_rate)
    frequency = 440.0 * 2 ** ((midi - 69) / 12)
    partials = range(1, min(harmonics, int(0.45 * sample_rate / frequency)) + 1)
    tone = sum((np.sin(2 * np.pi * frequency * k * t + k) / k for k in partials), np.zeros(t.size))
    release = np.minimum(1.0, (seconds - t) / 0.03)
    envelope = np.minimum(1.0, t / attack_s) * release * np.exp(-t * 1.5)
    return (0.4 * tone * envelope).astype(np.float32)
