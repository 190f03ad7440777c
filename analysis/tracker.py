"""From an onset function to a beat grid: tempo path, dynamic programme and refit, tuned by the preset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.beats import track_beats
from analysis.refit import refit, steady_grid
from analysis.result import Preset
from analysis.spectrum import FRAME_RATE, Floats
from analysis.tempo import Doubles, Prior, Tempogram


@dataclass(frozen=True, slots=True)
class Tuning:
    """The tempo expected, and how hard beats are held to it."""

    prior: Prior
    tightness: float


PRESETS = {
    "edm": Tuning(Prior(125, 1.2), 1500),
    "rock": Tuning(Prior(110, 1.0), 600),
    "classical": Tuning(Prior(100, 1.2), 80),
    "jazz": Tuning(Prior(130, 1.2), 300),
}
_FIRST_PASS = Tuning(Prior(130, 1.2), 400)
_UNKNOWN = Prior(110, 1.2)
_STEADY, _FREE = 1000.0, 80.0
_STEADY_SHARE = 0.8
_ONSET_LAG_MS = 4.6
"""The flux peaks this much after a stroke begins: the mean over the synthesiser's styles with drums."""


def track(onsets: Floats, preset: Preset, bpm_hint: float | None = None) -> Doubles:
    """Return the beat times in frames. A hint replaces the preset's tempo, not its tightness."""
    hinted = None if bpm_hint is None else Prior.hinted(bpm_hint)
    prior = hinted or (_UNKNOWN if preset == "auto" else PRESETS[preset].prior)
    tempi = Tempogram(onsets, prior)
    if preset == "auto":
        tightness = _tightness_by_ear(onsets, tempi.path(hinted or _FIRST_PASS.prior))
    else:
        tightness = PRESETS[preset].tightness
    return refit(track_beats(onsets, tempi.path(prior), tightness), onsets)


def track_with(onsets: Floats, tuning: Tuning) -> Doubles:
    """Return the beat times in frames under an explicit tuning."""
    periods = Tempogram(onsets, tuning.prior).path(tuning.prior)
    return refit(track_beats(onsets, periods, tuning.tightness), onsets)


def to_ms(frames: Doubles) -> Doubles:
    """Turn beats in frames into ms from the start of the audio, the onset function's lag taken off."""
    return np.maximum(frames * 1000.0 / FRAME_RATE - _ONSET_LAG_MS, 0.0)


def _tightness_by_ear(onsets: Floats, periods: Doubles) -> float:
    """Tell steady music from free by a first pass: at least 80 % of its beats on one constant grid."""
    grid = steady_grid(track_beats(onsets, periods, _FIRST_PASS.tightness), onsets)
    return _STEADY if grid is not None and grid.share >= _STEADY_SHARE else _FREE
