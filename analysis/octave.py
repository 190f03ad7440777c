"""The octave: a fast song found at half its tempo, told by the kick and the snare that should alternate."""

from __future__ import annotations

import numpy as np

from analysis.cues import Cues
from analysis.cuts import kick_contrast
from analysis.spectrum import FRAME_RATE
from analysis.tempo import Doubles

_SLOWEST_BPM, _FASTEST_BPM = 95.0, 110.0  # twice these is as fast as beats are looked for
_SNARE_BAND = 2  # 2.2 to 4.9 kHz
_CLEAR_KICK = 0.75
_CLEAR_SNARE = 1.2
_ALIKE = 0.25
_FEWEST_BEATS = 16


def at_full_tempo(lines: Doubles, cues: Cues) -> Doubles:
    """Return the lines of a steady grid (frames), with their middles where those are beats as well.

    In a backbeat kick and snare alternate from beat to beat. If every line has a kick and every middle the
    snare, and one line sounds like the next, then two beats were taken for one.
    """
    if len(lines) < _FEWEST_BEATS:
        return lines
    bpm = 60.0 * FRAME_RATE / float(np.median(np.diff(lines)))
    if not _SLOWEST_BPM <= bpm <= _FASTEST_BPM or kick_contrast(lines, cues.kick) < _CLEAR_KICK:
        return lines
    middles = (lines[:-1] + lines[1:]) / 2
    even, odd, between = (_snare(at, cues) for at in (lines[::2], lines[1::2], middles))
    on = (even + odd) / 2
    if between < _CLEAR_SNARE * on or abs(even - odd) > _ALIKE * on:
        return lines
    return np.sort(np.concatenate([lines, middles]))


def _snare(at: Doubles, cues: Cues) -> float:
    """Return the mean flux, within a frame, in the band where a snare is louder than a kick."""
    frames = np.round(at).astype(np.intp)[:, None] + np.arange(-1, 2)
    near = cues.bands[np.clip(frames, 0, len(cues.bands) - 1), _SNARE_BAND]
    return float(near.max(axis=1).mean())
