"""Loudness after EBU R 128, from the spectrum instead of a filter: frames' energies add up to the signal's.

ITU-R BS.1770-4 (K-weighting, gating), EBU Tech 3341 (momentary, short-term), EBU Tech 3342 (loudness range).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.spectrum import FRAME_RATE, Floats
from analysis.tempo import Doubles

FLOOR = -100.0
_OFFSET = -0.691
_ABSOLUTE_GATE = -70.0
_MOMENTARY_S, _SHORT_TERM_S, _STEP_S = 0.4, 3.0, 0.1

# The two biquads of BS.1770-4, table 1 (a high shelf for the head) and table 2 (a high-pass), at 48 kHz.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))


@dataclass(frozen=True, slots=True)
class Loudness:
    """Momentary loudness a frame (LUFS), and the figures of the whole: None where all is below the gate."""

    momentary: Doubles
    integrated_lufs: float | None
    range_lu: float | None


def k_weighting(hz: Floats) -> Doubles:
    """Return the power gain of the K-weighting at these frequencies."""
    z = np.exp(-2j * np.pi * hz.astype(np.float64) / 48_000.0)
    gain = np.ones(len(hz))
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        gain *= np.abs(np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)) ** 2
    return gain


def loudness(weighted: Floats) -> Loudness:
    """Measure K-weighted mean squares, one a frame of 256 samples."""
    momentary = _sliding_mean(weighted, _MOMENTARY_S)
    return Loudness(_lufs(momentary), _integrated(momentary), _range(_sliding_mean(weighted, _SHORT_TERM_S)))


def _lufs(power: Doubles) -> Doubles:
    return np.maximum(_OFFSET + 10.0 * np.log10(np.maximum(power, 1e-12)), FLOOR)


def _power(lufs: float) -> float:
    return 10.0 ** ((lufs - _OFFSET) / 10.0)


def _sliding_mean(power: Floats, seconds: float) -> Doubles:
    """Average over a window around each frame, shorter at the ends."""
    half = round(seconds * FRAME_RATE / 2)
    total = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    frames = np.arange(len(power))
    low, high = np.maximum(frames - half, 0), np.minimum(frames + half, len(power))
    return (total[high] - total[low]) / np.maximum(high - low, 1)


def _blocks(power: Doubles) -> Doubles:
    """Take one window every 100 ms."""
    at = np.round(np.arange(0, len(power), _STEP_S * FRAME_RATE)).astype(np.intp)
    return power[at.clip(max=len(power) - 1)]


def _integrated(momentary: Doubles) -> float | None:
    blocks = _blocks(momentary)
    loud = blocks[blocks > _power(_ABSOLUTE_GATE)]
    if len(loud) == 0:
        return None
    gated = loud[loud > 0.1 * loud.mean()]  # 10 LU below the mean of the loud
    return round(float(_lufs(np.array([gated.mean()]))[0]), 2)


def _range(short_term: Doubles) -> float | None:
    blocks = _blocks(short_term)
    loud = blocks[blocks > _power(_ABSOLUTE_GATE)]
    if len(loud) == 0:
        return None
    gated = _lufs(loud[loud > 0.01 * loud.mean()])  # 20 LU below
    low, high = np.percentile(gated, [10, 95])
    return round(float(high - low), 2)
