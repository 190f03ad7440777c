"""A recording as all stages hear it: its DC offset known, its levels measured once.

The samples stay where they are: twenty minutes are 106 MB, and a centred copy would be as many again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.result import UnusableSamples
from analysis.spectrum import HOP, Floats

HOPS_PER_PEAK = 4
_PEAK_SAMPLES = HOPS_PER_PEAK * HOP
_BLOCK_SAMPLES = 64 * _PEAK_SAMPLES


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples at 22,050 Hz as they came, and what is left of them without their DC offset.

    `power` is the mean square of each hop of 256 samples, `peak` the largest amplitude of each 1024; the last
    of them are filled up with silence, so that there are four powers for each peak. `swing` is half the way
    from the lowest to the highest sample of a hop: a constant, which is silent, has none, whatever the offset
    of the music around it.
    """

    samples: Floats
    offset: np.float32
    power: Floats
    peak: Floats
    swing: Floats

    def hops(self) -> Iterator[Floats]:
        """Yield the samples without their offset, a block of rows of 256 at a time."""
        for block in _centred_blocks(self.samples, self.offset):
            yield block.reshape(-1, HOP)


def heard(samples: Floats) -> Sound:
    """Measure samples. Raises UnusableSamples on NaN or infinity."""
    # In double precision a sum of finite floats is finite, so this finds them all.
    mean = float(np.sum(samples, dtype=np.float64)) / max(len(samples), 1)
    if not np.isfinite(mean):
        raise UnusableSamples("the audio holds NaN or infinite samples")
    offset = np.float32(mean)
    power, peak, swing = ([np.empty(0, np.float32)] for _ in range(3))
    for block in _centred_blocks(samples, offset):
        hops = block.reshape(-1, HOP)
        power.append(np.einsum("ij,ij->i", hops, hops) / np.float32(HOP))
        highest, lowest = hops.max(axis=1), hops.min(axis=1)
        peak.append(np.maximum(highest, -lowest).reshape(-1, HOPS_PER_PEAK).max(axis=1))
        swing.append((highest - lowest) / np.float32(2.0))
    return Sound(samples, offset, *map(np.concatenate, (power, peak, swing)))


def _centred_blocks(samples: Floats, offset: np.float32) -> Iterator[Floats]:
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES] - offset
        missing = -len(block) % _PEAK_SAMPLES
        yield np.pad(block, (0, missing)) if missing else block
