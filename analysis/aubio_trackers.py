"""What aubio contributes: the onset list, an independent onset function, its own tracker for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aubio as _aubio  # a C extension without types
import numpy as np

from analysis.spectrum import HOP, SAMPLE_RATE, WINDOW, Floats
from analysis.tempo import Doubles

aubio: Any = _aubio
VERSION: str = aubio.version


def _hops(samples: Floats) -> Iterator[Floats]:
    padded = np.pad(samples, (0, -len(samples) % HOP))
    yield from padded.reshape(-1, HOP)


def onset_times(samples: Floats) -> Doubles:
    """Return the onsets aubio's default detector (high-frequency content) hears, in ms."""
    detector = aubio.onset("default", WINDOW, HOP, SAMPLE_RATE)
    return _sorted([detector.get_last_ms() for hop in _hops(samples) if detector(hop)[0]])


def tempo_beats(samples: Floats) -> Doubles:
    """Return the beats of plain `aubio.tempo`, in ms."""
    tracker = aubio.tempo("default", WINDOW, HOP, SAMPLE_RATE)
    return _sorted([tracker.get_last_ms() for hop in _hops(samples) if tracker(hop)[0]])


def _sorted(times_ms: list[float]) -> Doubles:
    return np.unique(np.array(times_ms, dtype=np.float64))


def kl_flux(samples: Floats) -> Floats:
    """Return aubio's modified Kullback-Leibler onset function (Hainsworth and Macleod 2003), a value a hop.

    The divergence depends on the level, so the signal is levelled to an RMS of 0.1 first.
    """
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    levelled = samples * np.float32(0.1 / max(level, 1e-9))
    vocoder, divergence = aubio.pvoc(2 * HOP, HOP), aubio.specdesc("kl", 2 * HOP)
    return np.array([divergence(vocoder(hop))[0] for hop in _hops(levelled)], dtype=np.float32)
