"""One pass over the spectrum for all that later stages need of it, so that it is never kept whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.loudness import k_weighting
from analysis.spectrum import WINDOW, Floats, bin_hz, magnitude_blocks, mel_filters

DECIMATION = 4
BANDS_HZ = {"bass": (30.0, 150.0), "mids": (150.0, 2500.0), "highs": (2500.0, 11_026.0)}
ROLLOFF = 0.85


@dataclass(frozen=True, slots=True)
class Descriptors:
    """`mel` (40) and `powers` (bass, mids, highs, K-weighted: mean squares) for each frame of 256 samples.

    The spectral descriptors are those of every fourth frame: centroid and rolloff in Hz, flatness 0..1, flux
    in linear amplitude.
    """

    mel: Floats
    powers: Floats
    centroid: Floats
    rolloff: Floats
    flatness: Floats
    flux: Floats


def describe(samples: Floats) -> Descriptors:
    """Compute all descriptors of samples at 22,050 Hz, block by block."""
    mel: list[Floats] = []
    powers: list[Floats] = []
    spectral: list[tuple[Floats, ...]] = []
    last = np.zeros(WINDOW // 2 + 1, dtype=np.float32)
    for magnitudes in magnitude_blocks(samples):  # a block is a multiple of four frames, but for the last
        mel.append(magnitudes @ mel_filters())
        powers.append(np.square(magnitudes) @ _power_weights())
        sparse = magnitudes[::DECIMATION]
        spectral.append(_spectral(sparse, last))
        last = sparse[-1]
    columns = [np.concatenate(column) for column in zip(*spectral, strict=True)]
    return Descriptors(np.concatenate(mel), np.concatenate(powers), *columns)


@cache
def _power_weights() -> Floats:
    """Return the 513 × 4 weights that turn squared magnitudes into mean squares.

    By Parseval's theorem the mean square under a Hann window is Σ M² / 3 when a full-scale sine has M = 1.
    """
    hz = bin_hz()
    bands = [(low <= hz) & (hz < high) for low, high in BANDS_HZ.values()]
    columns = [*(band.astype(np.float64) for band in bands), k_weighting(hz)]
    return (np.stack(columns, axis=1) / 3.0).astype(np.float32)


def _spectral(magnitudes: Floats, last: Floats) -> tuple[Floats, ...]:
    """Return centroid, rolloff, flatness and flux of each frame; `last` is the frame before the first."""
    hz = bin_hz()
    power = np.square(magnitudes) + np.float32(1e-14)
    # Not `magnitudes @ hz`: BLAS splits that sum among its threads, and the last digit is another.
    centroid = np.einsum("ij,j->i", magnitudes, hz) / (magnitudes.sum(axis=1) + np.float32(1e-9))
    below = np.cumsum(power, axis=1)
    rolloff = hz[(below < ROLLOFF * below[:, -1:]).sum(axis=1)]
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    rise = np.maximum(np.diff(magnitudes, axis=0, prepend=last[None, :]), 0.0)
    return centroid, rolloff, flatness, np.sqrt(np.square(rise).sum(axis=1))
