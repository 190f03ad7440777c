"""A file as pieces that a decoder reads to their true end.

libsndfile believes a header: that an MP3 has as many frames as its Xing frame says, that a chained Ogg ends
with its first stream, that a WAV or FLAC is as long as it states. `mending` finds the lies; a piece is what
the decoder gets instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from mmap import mmap

Buffer = bytes | mmap

Run = tuple[int, int]
"""From and to which byte of the file."""

TOLERATED_LOSS = 0.01
"""The share of the promised sound that may be missing without a word: sloppy writers lose the tail."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one decoder is given: stretches of the file and bytes of our own, one after the other.

    `lead` samples of silence stand before its sound: those that the decoder cuts off and should not.
    """

    parts: tuple[Run | bytes, ...]
    lead: int = 0


@dataclass(frozen=True, slots=True)
class Mended:
    """The pieces of a file; None if it is decoded as it is.

    `missing` is the share (0..1) of the promised sound that the file lacks, None without a promise; `exact`
    says whether what the decoder takes for the length is more than a guess.
    """

    pieces: tuple[Piece, ...] | None = None
    missing: float | None = None
    warnings: tuple[str, ...] = ()
    exact: bool = True


def understated(promised_s: float, found_s: float) -> tuple[str, ...]:
    """Return what is to be said of a header that promises less than there is."""
    if found_s * (1 - TOLERATED_LOSS) <= promised_s:
        return ()
    return (f"the header states {promised_s:.1f} s, the file holds {found_s:.1f} s",)
