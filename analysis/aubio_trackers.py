"""What aubio contributes: the onset list, an independent onset function, its own tracker for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aubio as _aubio  # a C extension without types
import numpy as np

from analysis.onset_picking import PickingRule, pick_onsets
from analysis.spectrum import HOP, SAMPLE_RATE, WINDOW, Floats, magnitude_blocks
from analysis.tempo import Doubles

aubio: Any = _aubio
VERSION: str = aubio.version

_WINDOW = 512


def _hop_blocks(samples: Floats) -> tuple[Floats, Floats]:
    """Return the samples as rows of a hop, and the last row, filled up with silence: no copy of the song."""
    whole = len(samples) // HOP * HOP
    rest = np.pad(samples[whole:], (0, -len(samples) % HOP))
    return samples[:whole].reshape(-1, HOP), rest.reshape(-1, HOP)


def tempo_beats(samples: Floats) -> Doubles:
    """Return the beats of plain `aubio.tempo`, in ms."""
    tracker = aubio.tempo("default", WINDOW, HOP, SAMPLE_RATE)
    times_ms = [tracker.get_last_ms() for hops in _hop_blocks(samples) for hop in hops if tracker(hop)[0]]
    return np.unique(np.array(times_ms, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class AubioCurves:
    """Two onset functions of aubio, a value a hop: high-frequency content and Kullback-Leibler divergence."""

    hfc: Floats
    kl: Floats


def onset_curves(samples: Floats) -> AubioCurves:
    """Compute both from one spectrum, that of `aubio.pvoc(512, 256)`, whose transform takes four times ours.

    The first is `aubio.specdesc("hfc")` of log magnitudes, as in aubio's default onset detector. The second
    is what `aubio.specdesc("kl")` computes (Hainsworth and Macleod 2003), in numpy at half the time; it
    depends on the level, so the signal is levelled to an RMS of 0.1 for it. Tests hold both to aubio's own.
    """
    level = float(np.sqrt(np.vdot(samples, samples) / max(len(samples), 1)))
    to_level = np.float32(0.1 / max(level, 1e-9))
    high_frequency = _HighFrequency()
    hfc: list[float] = []
    kl: list[Floats] = []
    last = np.zeros((1, _WINDOW // 2 + 1), dtype=np.float32)
    for magnitudes in magnitude_blocks(samples, _WINDOW):
        magnitudes *= np.float32(_WINDOW / 4)  # aubio's are not scaled
        hfc += high_frequency.of(magnitudes)
        levelled = np.concatenate([last, magnitudes * to_level])
        kl.append(_divergence(levelled[1:], levelled[:-1]))
        last = levelled[-1:]
    return AubioCurves(np.array(hfc, dtype=np.float32), np.concatenate(kl))


def _divergence(now: Floats, before: Floats) -> Floats:
    ratio = np.add(before, np.float32(0.1))
    np.divide(now, ratio, out=ratio)
    ratio += np.float32(1.0)
    return np.einsum("ij,ij->i", now, np.log(ratio, out=ratio))


class _HighFrequency:
    """`aubio.specdesc("hfc")` over magnitudes that are not aubio's."""

    def __init__(self) -> None:
        self._describe = aubio.specdesc("hfc", _WINDOW)
        self._frame = aubio.cvec(_WINDOW)

    def of(self, magnitudes: Floats) -> list[float]:
        """Return the content of each frame, on aubio's scale of log(1 + magnitude)."""
        found: list[float] = []
        for norm in np.log(magnitudes + np.float32(1.0)):
            self._frame.norm = norm
            found.append(float(self._describe(self._frame)[0]))
        return found


def onset_times(samples: Floats, hfc: Floats) -> Doubles:
    """Return the onsets of aubio's default detector in ms, by its own thresholds."""
    detector = aubio.onset("default", _WINDOW, HOP, SAMPLE_RATE)
    rule = PickingRule(detector.get_threshold(), detector.get_minioi(), detector.get_delay())
    power = np.concatenate([np.einsum("ij,ij->i", hops, hops) / HOP for hops in _hop_blocks(samples)])
    loud = power >= 10.0 ** (detector.get_silence() / 10.0)
    return np.array(pick_onsets(hfc[: len(loud)], loud, rule)) * (1000.0 / SAMPLE_RATE)
