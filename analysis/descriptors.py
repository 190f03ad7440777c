"""One pass over the spectrum for all that later stages need of it, so that it is never kept whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.loudness import k_weighting
from analysis.sound import Sound
from analysis.spectrum import (
    BLOCK_FRAMES,
    MEL_BANDS,
    WINDOW,
    Floats,
    bin_hz,
    frame_count,
    magnitude_blocks,
    mel_bands,
)

DECIMATION = 4
BANDS_HZ = {"bass": (30.0, 150.0), "mids": (150.0, 2500.0), "highs": (2500.0, 11_026.0)}
ROLLOFF = 0.85
_BINS = WINDOW // 2 + 1
_GROUP_BINS = 16
_KICK_BINS = slice(3, 6)


@dataclass(frozen=True, slots=True)
class Descriptors:
    """`mel` (40) and `powers` (bass, mids, highs, K-weighted: mean squares) for each frame of 256 samples.

    `kick` is the sum of the amplitudes at 65, 86 and 108 Hz of each frame.
    The spectral descriptors are those of every fourth frame: centroid and rolloff in Hz, flatness 0..1, flux
    in linear amplitude.
    """

    mel: Floats
    powers: Floats
    kick: Floats
    centroid: Floats
    rolloff: Floats
    flatness: Floats
    flux: Floats


def describe(sound: Sound) -> Descriptors:
    """Compute all descriptors of a recording, block by block."""
    count = frame_count(sound.samples)
    mel = np.empty((count, MEL_BANDS), np.float32)
    powers = np.empty((count, len(BANDS_HZ) + 1), np.float32)
    kick = np.empty(count, np.float32)
    buffer = np.empty((BLOCK_FRAMES, _BINS), np.float32)
    sparse = _SparseFrames()
    spectral: list[tuple[Floats, ...]] = []
    start = 0
    for magnitudes in magnitude_blocks(sound.samples, sound.offset):
        end = start + len(magnitudes)
        mel_bands(magnitudes, out=mel[start:end])
        np.sum(magnitudes[:, _KICK_BINS], axis=1, out=kick[start:end])
        power = np.square(magnitudes, out=buffer[: len(magnitudes)])
        np.matmul(power, _power_weights(), out=powers[start:end])
        # A block is a multiple of four frames, but for the last.
        spectral.append(sparse.described(magnitudes[::DECIMATION]))
        start = end
    return Descriptors(mel, powers, kick, *map(np.concatenate, zip(*spectral, strict=True)))


@cache
def _power_weights() -> Floats:
    """Return the 513 × 4 weights that turn squared magnitudes into mean squares.

    By Parseval's theorem the mean square under a Hann window is Σ M² / 3 when a full-scale sine has M = 1.
    """
    hz = bin_hz()
    bands = [(low <= hz) & (hz < high) for low, high in BANDS_HZ.values()]
    columns = [*(band.astype(np.float64) for band in bands), k_weighting(hz)]
    return (np.stack(columns, axis=1) / 3.0).astype(np.float32)


class _SparseFrames:
    """The spectral descriptors, block after block; the frame before a block is kept for its flux.

    All arrays are used again: memory that is new each time takes longer than what is done with it.
    """

    def __init__(self) -> None:
        rows = BLOCK_FRAMES // DECIMATION
        self._frames = np.zeros((rows + 1, _BINS), np.float32)
        self._power = np.empty((rows, _BINS), np.float32)
        self._scratch = np.empty((rows, _BINS), np.float32)

    def described(self, magnitudes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return centroid, rolloff, flatness and flux of each frame of a block."""
        count = len(magnitudes)
        now, before = self._frames[1 : count + 1], self._frames[:count]
        now[:] = magnitudes
        power, scratch = np.square(now, out=self._power[:count]), self._scratch[:count]
        power += np.float32(1e-14)
        # Not `now @ bin_hz()`: BLAS splits that sum among its threads, and the last digit is another.
        centroid = np.einsum("ij,j->i", now, bin_hz()) / (now.sum(axis=1) + np.float32(1e-9))
        np.maximum(np.subtract(now, before, out=scratch), 0.0, out=scratch)
        flux = np.sqrt(np.einsum("ij,ij->i", scratch, scratch))
        flatness = np.exp(np.log(power, out=scratch).mean(axis=1)) / power.mean(axis=1)
        self._frames[0] = now[-1]
        return centroid, bin_hz()[_rolloff_bins(power)], flatness, flux


def _rolloff_bins(power: Floats) -> NDArray[np.intp]:
    """Return the first bin up to which 85 % of the power lies.

    Found to 16 bins by a matrix product, then by adding up those sixteen: a sum over all bins is five
    times as slow.
    """
    reached = power @ _up_to_group()
    wanted = ROLLOFF * (reached[:, -1:] + power[:, -1:])
    group = np.minimum((reached < wanted).sum(axis=1), reached.shape[1] - 1)
    rows = np.arange(len(power))
    before = np.where(group > 0, reached[rows, group - 1], np.float32(0.0))
    inside = power[rows[:, None], group[:, None] * _GROUP_BINS + np.arange(_GROUP_BINS)]
    below = (before[:, None] + np.cumsum(inside, axis=1) < wanted).sum(axis=1)
    return group * _GROUP_BINS + below


@cache
def _up_to_group() -> Floats:
    """Return the 513 × 32 weights that sum a spectrum up to the end of each group of 16 bins."""
    bins, groups = np.arange(_BINS)[:, None], np.arange(WINDOW // 2 // _GROUP_BINS)[None, :]
    return (bins < (groups + 1) * _GROUP_BINS).astype(np.float32)
