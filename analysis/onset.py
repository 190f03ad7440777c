"""The onset function: how strongly something begins at each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.smoothing import moving_mean
from analysis.spectrum import FRAME_RATE, Floats

_MEAN_FRAMES = round(1.0 * FRAME_RATE)
_RMS_FRAMES = round(8.0 * FRAME_RATE)
_LOG_SHARE = 0.75
_LAG = 2
_BLOCK_FRAMES = 1024  # some 160 kB a band curve: they stay in the cache
_GROUPS = 4


@dataclass(frozen=True, slots=True)
class OnsetCurves:
    """The onset function, and the log flux of four groups of bands (frames × 4, lowest first)."""

    onsets: Floats
    bands: Floats


def onset_curves(mel: Floats) -> OnsetCurves:
    """Mix the normalised flux of log and of linear mel magnitudes (frames × bands) into one curve.

    The log part hears quiet strokes, the linear part keeps loud ones loud. Unit: local RMS (8 s).
    """
    to_relative = np.float32(1.0 / max(float(mel.max(initial=0.0)), 1e-12))
    linear_part, groups = np.zeros(len(mel), np.float32), np.zeros((len(mel), _GROUPS), np.float32)
    for frames, bands in _blocks(mel):
        linear_part[frames] = _rise(bands, bands).mean(axis=1)
        log = _log(bands, np.float32(10.0) * to_relative)
        groups[frames] = _rise(log, log).reshape(len(log) - _LAG, _GROUPS, -1).mean(axis=2)
    linear_part *= to_relative
    mixed = _LOG_SHARE * normalised(groups.mean(axis=1)) + (1.0 - _LOG_SHARE) * normalised(linear_part)
    return OnsetCurves(mixed.astype(np.float32), groups)


def superflux(mel: Floats) -> Floats:
    """The median over bands of the log flux against the loudest of three neighbouring bands.

    Böck and Widmer 2013 (vibrato suppression); the median hears broadband strokes only, so it errs
    elsewhere than `onset_function`, which is why it serves as a second opinion.
    """
    scale = np.float32(10.0 / max(float(mel.max(initial=0.0)), 1e-12))
    flux, middle = np.zeros(len(mel), np.float32), mel.shape[1] // 2
    for frames, bands in _blocks(mel):
        log = _log(bands, scale)
        widest = log.copy()
        np.maximum(widest[:, 1:], log[:, :-1], out=widest[:, 1:])
        np.maximum(widest[:, :-1], log[:, 1:], out=widest[:, :-1])
        rise = _rise(log, widest)
        rise.sort(axis=1)  # a fifth of np.median's time
        flux[frames] = rise[:, middle - 1 : middle + 1].mean(axis=1)
    return normalised(flux)


def _blocks(mel: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield the frames of a block and their bands, the two frames before them in front."""
    for start in range(_LAG, len(mel), _BLOCK_FRAMES):
        frames = slice(start, min(start + _BLOCK_FRAMES, len(mel)))
        yield frames, mel[start - _LAG : frames.stop]


def _log(bands: Floats, scale: np.float32) -> Floats:
    log = bands * scale
    log += np.float32(1.0)
    return np.log(log, out=log)


def _rise(bands: Floats, before: Floats) -> Floats:
    """Return how much each band has risen since two frames before."""
    rise = bands[_LAG:] - before[:-_LAG]
    return np.maximum(rise, 0.0, out=rise)


def normalised(flux: Floats) -> Floats:
    """Take out the local mean (1 s), then level with the local RMS (8 s) plus 5 % of the global one."""
    above = np.maximum(flux - moving_mean(flux, _MEAN_FRAMES), 0.0)
    power = np.maximum(moving_mean(np.square(above), _RMS_FRAMES), 0.0)
    level = np.sqrt(power) + 0.05 * np.sqrt(np.mean(np.square(above)))
    return (above / np.maximum(level, 1e-9)).astype(np.float32)
