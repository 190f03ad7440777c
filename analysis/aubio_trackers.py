"""What aubio contributes: the onset list, an independent onset function, its own tracker for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aubio as _aubio  # a C extension without types
import numpy as np

from analysis.spectrum import HOP, SAMPLE_RATE, WINDOW, Floats, magnitude_blocks
from analysis.tempo import Doubles

aubio: Any = _aubio
VERSION: str = aubio.version

_KL_WINDOW = 512


def _hops(samples: Floats) -> Iterator[Floats]:
    whole = len(samples) // HOP * HOP
    yield from samples[:whole].reshape(-1, HOP)
    if whole < len(samples):
        yield np.pad(samples[whole:], (0, -len(samples) % HOP))


def onset_times(samples: Floats) -> Doubles:
    """Return the onsets aubio's default detector (high-frequency content) hears, in ms."""
    detector = aubio.onset("default", WINDOW // 2, HOP, SAMPLE_RATE)
    return _sorted([detector.get_last_ms() for hop in _hops(samples) if detector(hop)[0]])


def tempo_beats(samples: Floats) -> Doubles:
    """Return the beats of plain `aubio.tempo`, in ms."""
    tracker = aubio.tempo("default", WINDOW, HOP, SAMPLE_RATE)
    return _sorted([tracker.get_last_ms() for hop in _hops(samples) if tracker(hop)[0]])


def _sorted(times_ms: list[float]) -> Doubles:
    return np.unique(np.array(times_ms, dtype=np.float64))


def kl_flux(samples: Floats) -> Floats:
    """Return aubio's modified Kullback-Leibler onset function (Hainsworth and Macleod 2003), a value a hop.

    This is `aubio.specdesc("kl")` over `aubio.pvoc(512, 256)` in numpy, a tenth of the time; a test holds it
    to aubio's own. The divergence depends on the level, so the signal is levelled to an RMS of 0.1 first.
    """
    level = float(np.sqrt(np.vdot(samples, samples) / max(len(samples), 1)))
    to_aubio = np.float32(_KL_WINDOW / 4 * 0.1 / max(level, 1e-9))  # aubio's magnitudes are not scaled
    flux: list[Floats] = []
    last = np.zeros((1, _KL_WINDOW // 2 + 1), dtype=np.float32)
    for magnitudes in magnitude_blocks(samples, _KL_WINDOW):
        now = magnitudes * to_aubio
        before = np.concatenate([last, now[:-1]])
        flux.append((now * np.log(np.float32(1.0) + now / (before + np.float32(0.1)))).sum(axis=1))
        last = now[-1:]
    return np.concatenate(flux)
