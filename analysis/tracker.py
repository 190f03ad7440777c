"""From an onset function to a beat grid: tempo path, dynamic programme and refit, tuned by the preset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.beats import smoothed, track_beats
from analysis.cues import Cues
from analysis.octave import at_full_tempo
from analysis.refit import MUCH_STRONGER, refit, steady_grid, strength
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
_STEADY, _FREE = Tuning(Prior(120, 1.2), 1000), Tuning(Prior(100, 1.2), 80)
_STEADY_SHARE = 0.95
_ONSET_LAG_MS = 4.6
"""The flux peaks this much after a stroke begins: the mean over the synthesiser's styles with drums."""


def track(cues: Cues, preset: Preset, bpm_hint: float | None = None) -> Doubles:
    """Return the beat times in frames. A hint replaces the preset's tempo, not its tightness."""
    hinted = None if bpm_hint is None else Prior.hinted(bpm_hint)
    tempi = Tempogram(cues.onsets, hinted or _STEADY.prior)

    def chain(tuning: Tuning) -> Doubles:
        return track_beats(cues.onsets, tempi.path(hinted or tuning.prior), tuning.tightness)

    if preset == "auto":
        beats = refit(_steady_or_free(chain(_STEADY), chain(_FREE), cues.onsets), cues)
    else:
        beats = refit(chain(PRESETS[preset]), cues)
    return beats if hinted else at_full_tempo(beats, cues)


def track_with(cues: Cues, tuning: Tuning) -> Doubles:
    """Return the beat times in frames under an explicit tuning."""
    periods = Tempogram(cues.onsets, tuning.prior).path(tuning.prior)
    return refit(track_beats(cues.onsets, periods, tuning.tightness), cues)


def to_ms(frames: Doubles) -> Doubles:
    """Turn beats in frames into ms from the start of the audio, the onset function's lag taken off."""
    return np.maximum(frames * 1000.0 / FRAME_RATE - _ONSET_LAG_MS, 0.0)


def to_frames(beats_ms: Doubles) -> Doubles:
    """Turn ms back into frames of the onset function, its lag put on."""
    return (beats_ms + _ONSET_LAG_MS) * FRAME_RATE / 1000.0


def _steady_or_free(steady: Doubles, free: Doubles, onsets: Floats) -> Doubles:
    """Return the chain that was held tight if the music is steady, else the free one.

    It is not steady if the tight chain leaves the constant grid for more than 5 % of its beats, nor if it
    keeps to a grid that the onsets do not: then the free chain collects far more of them a beat.
    """
    grid = steady_grid(steady)
    if grid is None or grid.share < _STEADY_SHARE:
        return free
    curve = smoothed(onsets, grid.period)
    is_free = strength(free, curve) > MUCH_STRONGER * strength(steady, curve)
    return free if is_free else steady
