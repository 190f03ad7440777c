"""What aubio contributes: the onset list, an independent onset function, its own tracker for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aubio as _aubio  # a C extension without types
import numpy as np

from analysis.onset_picking import PickingRule, pick_onsets
from analysis.sound import Sound
from analysis.spectrum import BLOCK_FRAMES, HOP, SAMPLE_RATE, Floats, frame_count, magnitude_blocks
from analysis.tempo import Doubles

aubio: Any = _aubio
VERSION: str = aubio.version

_WINDOW = 512
_BINS = _WINDOW // 2 + 1


def tempo_beats(sound: Sound) -> Doubles:
    """Return the beats of plain `aubio.tempo`, in ms."""
    tracker = aubio.tempo("default", _WINDOW, HOP, SAMPLE_RATE)
    times_ms = [tracker.get_last_ms() for hops in sound.hops() for hop in hops if tracker(hop)[0]]
    return np.unique(np.array(times_ms, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class AubioCurves:
    """Two onset functions of aubio, a value a hop: high-frequency content and Kullback-Leibler divergence."""

    hfc: Floats
    kl: Floats


def onset_curves(sound: Sound) -> AubioCurves:
    """Compute both from one spectrum, that of `aubio.pvoc(512, 256)`, whose transform takes four times ours.

    They are what `aubio.specdesc` computes: "hfc" (Masri 1996) of log magnitudes, as in aubio's default onset
    detector, and "kl" (Hainsworth and Macleod 2003), which depends on the level, so the signal is levelled to
    an RMS of 0.1 for it. In numpy both take half the time; tests hold them to aubio's own.
    """
    count = frame_count(sound.samples)
    curves = AubioCurves(np.empty(count, np.float32), np.empty(count, np.float32))
    level = float(np.sqrt(sound.power.sum(dtype=np.float64) * HOP / max(len(sound.samples), 1)))
    to_level = np.float32(0.1 / max(level, 1e-9))
    levelled = np.zeros((BLOCK_FRAMES + 1, _BINS), np.float32)
    scratch = np.empty((BLOCK_FRAMES, _BINS), np.float32)
    start = 0
    for magnitudes in magnitude_blocks(sound.samples, sound.offset, _WINDOW):
        frames, end = len(magnitudes), start + len(magnitudes)
        magnitudes *= np.float32(_WINDOW / 4)  # aubio's are not scaled
        np.multiply(magnitudes, to_level, out=levelled[1 : frames + 1])
        curves.kl[start:end] = _divergence(levelled[1 : frames + 1], levelled[:frames], scratch[:frames])
        curves.hfc[start:end] = _high_frequency_content(magnitudes)
        levelled[0] = levelled[frames]
        start = end
    return curves


def _divergence(now: Floats, before: Floats, scratch: Floats) -> Floats:
    """Return Σ M log(1 + M / (M of the frame before + 0.1)) of each frame."""
    np.add(before, np.float32(0.1), out=scratch)
    np.divide(now, scratch, out=scratch)
    scratch += np.float32(1.0)
    return np.einsum("ij,ij->i", now, np.log(scratch, out=scratch))


def _high_frequency_content(magnitudes: Floats) -> Floats:
    """Return Σ (bin + 1) log(1 + M) of each frame; the magnitudes are overwritten."""
    magnitudes += np.float32(1.0)
    np.log(magnitudes, out=magnitudes)
    return np.einsum("ij,j->i", magnitudes, np.arange(1, _BINS + 1, dtype=np.float32))


def onset_times(sound: Sound, hfc: Floats) -> Doubles:
    """Return the onsets of aubio's default detector in ms, by its own thresholds."""
    detector = aubio.onset("default", _WINDOW, HOP, SAMPLE_RATE)
    rule = PickingRule(detector.get_threshold(), detector.get_minioi(), detector.get_delay())
    loud = sound.power[: -(-len(sound.samples) // HOP)] >= 10.0 ** (detector.get_silence() / 10.0)
    return np.array(pick_onsets(hfc[: len(loud)], loud, rule)) * (1000.0 / SAMPLE_RATE)
