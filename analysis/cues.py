"""What the tracker listens to: one curve to find beats by, and cues that tell a beat from the half beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.descriptors import Descriptors
from analysis.onset import onset_curves
from analysis.spectrum import Floats


@dataclass(frozen=True, slots=True)
class Cues:
    """Curves with a value or a row for each frame: the onset function, four bands, and the kick.

    `bands` are the log flux of four groups of ten mel bands; `kick` is the amplitude at 65, 86 and 108 Hz,
    where a bass drum sounds longest.
    """

    onsets: Floats
    bands: Floats
    kick: Floats

    def hearing(self, onsets: Floats) -> Cues:
        """Return the cues of a second opinion: another onset function, which alone chooses the phase."""
        return Cues(onsets, self.bands, np.zeros_like(self.kick))


def cues_of(described: Descriptors, frames: slice) -> Cues:
    """Compute the cues of some frames of a recording, as if there were no others."""
    curves = onset_curves(described.mel[frames])
    return Cues(curves.onsets, curves.bands, described.kick[frames])
