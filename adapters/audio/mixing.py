"""Channels to mono: the mean of them, all of it finite, and never silence because channels cancel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_LOUDEST = 1e6
"""Floats beyond are no sound: full scale is 1, and integers written as floats by mistake reach 32,768."""

_CANCELLED = 0.02
"""Of the power that unrelated channels keep in the mix: less means that they are out of phase."""


_QUIET = 0.25
"""Of the loudest channel's power: a quieter channel no longer stands for the mix."""


class Mixer:
    """Mixes the blocks of one file (frames × channels) and counts what was wrong with them."""

    def __init__(self) -> None:
        self._not_numbers = 0
        self._cancels = False
        self._channel = 0

    def warnings(self) -> list[str]:
        """Return what was wrong with the blocks so far."""
        found: list[str] = []
        if self._cancels:
            found.append(
                "the channels cancel each other (out of phase): one channel is used in place of their mix"
            )
        if self._not_numbers:
            found.append(f"{self._not_numbers} samples are no numbers or beyond reason: now silence")
        return found

    def mono(self, block: Samples) -> Samples:
        """Mix the channels evenly; what is no sound becomes silence."""
        channels = block.shape[1]
        mono = block[:, 0].copy() if channels == 1 else self._mixed(block)
        # The sum of squares alone: it is all that sound needs, a fifth of looking at every sample.
        with np.errstate(over="ignore", invalid="ignore"):
            sounds = float(mono @ mono) < _LOUDEST**2
        if sounds:
            return mono
        good = np.abs(block) < _LOUDEST
        self._not_numbers += int(good.size - np.count_nonzero(good))
        return np.where(good, block, np.float32(0)) @ np.full(channels, 1 / channels, np.float32)

    def _mixed(self, block: Samples) -> Samples:
        """Return the mean of the channels, or the loudest where they cancel each other (R = -L)."""
        channels = block.shape[1]
        mono = block @ np.full(channels, 1 / channels, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            powers = np.einsum("ij,ij->j", block, block)
            # Channels that have nothing in common keep all of powers / channels²; in-phase ones more.
            cancelled = float(mono @ mono) * channels**2 < _CANCELLED * float(powers.sum())
        if not cancelled:
            return mono
        self._cancels = True
        # The same channel as before while it sounds: every change turns the sign and makes a click.
        if powers[self._channel] < _QUIET * powers.max():
            self._channel = int(np.argmax(powers))
        return block[:, self._channel].copy()
