"""The onset function: how strongly something begins at each frame."""

from __future__ import annotations

import numpy as np

from analysis.smoothing import moving_mean
from analysis.spectrum import FRAME_RATE, Floats

_MEAN_FRAMES = round(1.0 * FRAME_RATE)
_RMS_FRAMES = round(8.0 * FRAME_RATE)
_LOG_SHARE = 0.75


def onset_function(mel: Floats) -> Floats:
    """Mix the normalised flux of log and of linear mel magnitudes (frames × bands) into one curve.

    The log part hears quiet strokes, the linear part keeps loud ones loud. Unit: local RMS (8 s).
    """
    relative = mel / max(float(mel.max(initial=0.0)), 1e-12)
    log_part = normalised(_flux(np.log(1.0 + 10.0 * relative)).mean(axis=1))
    linear_part = normalised(_flux(relative).mean(axis=1))
    return (_LOG_SHARE * log_part + (1.0 - _LOG_SHARE) * linear_part).astype(np.float32)


def superflux(mel: Floats) -> Floats:
    """The median over bands of the log flux against the loudest of three neighbouring bands.

    Böck and Widmer 2013 (vibrato suppression); the median hears broadband strokes only, so it errs
    elsewhere than `onset_function`, which is why it serves as a second opinion.
    """
    log_mel = np.log(1.0 + mel * np.float32(10.0 / max(float(mel.max(initial=0.0)), 1e-12)))
    widest = log_mel.copy()
    np.maximum(widest[:, 1:], log_mel[:, :-1], out=widest[:, 1:])
    np.maximum(widest[:, :-1], log_mel[:, 1:], out=widest[:, :-1])
    flux = np.zeros_like(log_mel)
    np.maximum(log_mel[2:] - widest[:-2], 0.0, out=flux[2:])
    flux.sort(axis=1)  # a fifth of np.median's time
    middle = flux.shape[1] // 2
    return normalised(flux[:, middle - 1 : middle + 1].mean(axis=1))


def _flux(bands: Floats) -> Floats:
    flux = np.zeros_like(bands)
    np.maximum(bands[2:] - bands[:-2], 0.0, out=flux[2:])
    return flux


def normalised(flux: Floats) -> Floats:
    """Take out the local mean (1 s), then level with the local RMS (8 s) plus 5 % of the global one."""
    above = np.maximum(flux - moving_mean(flux, _MEAN_FRAMES), 0.0)
    power = np.maximum(moving_mean(np.square(above), _RMS_FRAMES), 0.0)
    level = np.sqrt(power) + 0.05 * np.sqrt(np.mean(np.square(above)))
    return (above / np.maximum(level, 1e-9)).astype(np.float32)
