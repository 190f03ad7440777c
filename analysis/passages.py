"""Passages: the stretches of a recording that sound, each tracked as if it were a recording of its own.

A long silence has no beats, and it would thin out every mean that is taken over a whole song.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analysis.cues import Cues
from analysis.sound import Sound
from analysis.spectrum import FRAME_RATE, HOP
from analysis.tempo import Doubles

_SILENCE = 1e-4  # -80 dB full scale
_QUIET = 2e-3  # 54 dB below the loudest frame
_LONG_FRAMES = round(10.0 * FRAME_RATE)
_MARGIN = 4  # frames: the first stroke still has a before


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of frames between long silences, and what is heard in it."""

    frames: slice
    cues: Cues

    def holds(self, times_ms: Doubles) -> NDArray[np.bool_]:
        """Tell which times (ms from the start of the audio) lie in this passage."""
        at = times_ms * FRAME_RATE / 1000.0
        return (at >= self.frames.start) & (at < self.frames.stop)


def passages(sound: Sound) -> list[slice]:
    """Return the frames (hop 256) that sound, split only by silences of more than ten seconds."""
    at = np.flatnonzero(_sounding(sound))
    if len(at) == 0:
        return []
    gaps = np.flatnonzero(np.diff(at) > _LONG_FRAMES)
    edges = [0, *(int(gap) + 1 for gap in gaps), len(at)]
    frames = len(sound.samples) // HOP + 1
    return [
        slice(max(int(at[first]) - _MARGIN, 0), min(int(at[end - 1]) + _MARGIN + 1, frames))
        for first, end in pairwise(edges)
    ]


def _sounding(sound: Sound) -> NDArray[np.bool_]:
    """Tell which whole hops swing further than -54 dB of the furthest and -80 dB of full scale."""
    swing = sound.swing[: len(sound.samples) // HOP]
    return swing > max(_SILENCE, _QUIET * float(swing.max(initial=0.0)))
