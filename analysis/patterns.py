"""What the synthesiser's band plays: one bar of each style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Style = Literal["edm", "rock", "jazz", "waltz", "five", "seven", "strings"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A stroke: where in the bar and how long (beats), how loud, for notes the semitones above the root."""

    instrument: Literal["kick", "snare", "hat", "ride", "bass", "chord", "string"]
    at: float
    gain: float
    interval: int = 0
    length: float = 1.0


def _every(
    instrument: Literal["kick", "hat", "ride", "bass"],
    step: float,
    gain: float,
    start: float = 0.0,
    beats: float = 4,
) -> list[Hit]:
    return [Hit(instrument, float(at), gain, length=step) for at in np.arange(start, beats, step)]


_SWUNG = 2 / 3
BARS: dict[Style, tuple[int, list[Hit]]] = {
    "edm": (
        4,
        [
            *_every("kick", 1, 1.0),
            *_every("hat", 1, 0.6, start=0.5),
            Hit("snare", 1, 0.6),
            Hit("snare", 3, 0.6),
            *_every("bass", 1, 0.45, start=0.5),
            Hit("chord", 0, 0.25, length=3.9),
        ],
    ),
    "rock": (
        4,
        [
            Hit("kick", 0, 1.0),
            Hit("kick", 2, 0.9),
            Hit("kick", 2.5, 0.6),
            Hit("snare", 1, 0.9),
            Hit("snare", 3, 0.9),
            *_every("hat", 0.5, 0.5),
            *_every("bass", 0.5, 0.4),
            Hit("chord", 0, 0.4, length=1.9),
            Hit("chord", 2, 0.35, length=1.9),
        ],
    ),
    "jazz": (
        4,
        [
            *_every("ride", 1, 0.8),
            Hit("ride", 1 + _SWUNG, 0.5),
            Hit("ride", 3 + _SWUNG, 0.5),
            Hit("hat", 1, 0.7),
            Hit("hat", 3, 0.7),
            Hit("bass", 0, 0.6, 0),
            Hit("bass", 1, 0.55, 4),
            Hit("bass", 2, 0.55, 7),
            Hit("bass", 3, 0.55, 9),
            Hit("chord", 0, 0.3, length=0.5),
            Hit("chord", 1 + _SWUNG, 0.25, length=0.5),
        ],
    ),
    "waltz": (
        3,
        [
            Hit("kick", 0, 0.8),
            Hit("bass", 0, 0.6),
            Hit("chord", 1, 0.35, length=0.6),
            Hit("chord", 2, 0.35, length=0.6),
            Hit("hat", 1, 0.4),
            Hit("hat", 2, 0.4),
        ],
    ),
    "five": (  # 3 + 2
        5,
        [
            Hit("kick", 0, 1.0),
            Hit("snare", 2, 0.7),
            Hit("kick", 3, 0.9),
            Hit("snare", 4, 0.7),
            *_every("hat", 0.5, 0.4, beats=5),
            Hit("bass", 0, 0.6, length=2.9),
            Hit("bass", 3, 0.5, 7, length=1.9),
            Hit("chord", 0, 0.4, length=2.9),
        ],
    ),
    "seven": (  # 2 + 2 + 3, the beat an eighth
        7,
        [
            Hit("kick", 0, 1.0),
            Hit("snare", 2, 0.7),
            Hit("kick", 4, 0.9),
            Hit("snare", 6, 0.5),
            *_every("hat", 1, 0.5, beats=7),
            Hit("bass", 0, 0.6, length=1.9),
            Hit("bass", 4, 0.5, 7, length=1.9),
            Hit("chord", 0, 0.4, length=3.9),
        ],
    ),
    "strings": (
        4,
        [
            Hit("string", 0, 0.6, 0, 1.9),
            Hit("string", 1, 0.4, 7, 1.0),
            Hit("string", 2, 0.5, 4, 1.9),
            Hit("string", 3, 0.4, 12, 1.0),
        ],
    ),
}
