"""Where the frames of an MP3 stand, and how many there are, whatever its header says.

A decoder believes the Xing frame: it ends early when that names too few frames, guesses the length when
there is none, and gives up at a kilobyte of anything else between frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from adapters.audio.mp3_header import Header, header_of, new, shortest
from adapters.audio.pieces import Buffer, Run

Kind = tuple[int, int, bool]
"""The header's version and rate bits, and whether the sound is mono: what a decoder cannot change over."""

_BITRATES: Final = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of MPEG 1 and 2, layer III (ISO 11172-3, 13818-3); MPEG 2.5 has those of 2."""

_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}

_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xeb]", re.DOTALL)
_IN_A_ROW = 3
"""Frames that follow one another: a single header is found in any noise."""

_FALSE_SYNCS = 100_000
"""So many places that only look like a frame are looked at in one file: 0.1 s."""


@dataclass(frozen=True, slots=True)
class Mp3Stream:
    """Frames of one kind in file order; a Xing, Info or VBRI frame is `header`, not among the `frames`."""

    kind: Kind
    frames: int
    runs: tuple[Run, ...]
    header: Header | None
    end: int

    def seconds(self, frames: int) -> float:
        """Return how long so many frames sound."""
        version, rate, _ = self.kind
        return frames * (1152 if version == 3 else 576) / _RATES[version][rate]

    def own_header(self, start: bytes) -> bytes:
        """Return a header frame for this stream, which starts with these four bytes of a frame's header."""
        version, rate, mono = self.kind
        lengths = ((at[2], *found) for at, found in _lengths().items() if at[1] == (start[1] | 1))
        third, length = min(
            (third, length)
            for third, length, _, r in lengths
            if r == rate and length >= shortest(version, mono)
        )
        return new(self.frames, length, version, mono, bytes((0xFF, start[1] | 1, third, start[3])))


def streams(data: Buffer, start: int) -> list[Mp3Stream]:
    """Return the streams of frames in a file; none of free format, whose frames don't tell their length."""
    return list(_Walk(data).streams(start))


def in_a_row(head: bytes) -> bool:
    """Say whether frames follow one another here, if not from the first byte."""
    return _Walk(head).sync(0) is not None


@cache
def _lengths() -> dict[bytes, tuple[int, int, int]]:
    """Return the length, version and rate bits of each frame by the first three bytes of its header."""
    found: dict[bytes, tuple[int, int, int]] = {}
    for version, rates in _RATES.items():
        for rate, bitrate, padded, rest in _combinations():
            kbits = _BITRATES[version or 2][bitrate]
            length = (144 if version == 3 else 72) * 1000 * kbits // rates[rate] + padded
            third = (bitrate + 1) << 4 | rate << 2 | padded << 1 | rest
            for protection in (0, 1):
                found[bytes((0xFF, 0xE2 | version << 3 | protection, third))] = (length, version, rate)
    return found


def _combinations() -> Iterator[tuple[int, int, int, int]]:
    return ((r, b, p, x) for r in range(3) for b in range(14) for p in (0, 1) for x in (0, 1))


class _Walk:
    """One pass over a file, from frame to frame."""

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._lengths = _lengths()
        self._patience = _FALSE_SYNCS

    def streams(self, start: int) -> Iterator[Mp3Stream]:
        at = self.sync(start)
        if at is None:
            at = self.sync(0)  # a tag that states more than there is
        while at is not None:
            stream = self._stream(at)
            yield stream
            at = self.sync(stream.end)

    def sync(self, at: int) -> int | None:
        """Return where the next frames in a row start."""
        for found in _SYNC.finditer(self._data, at):
            if self._in_a_row(found.start()):
                return found.start()
            self._patience -= 1
            if self._patience < 0:
                return None
        return None

    def _stream(self, at: int) -> Mp3Stream:
        """Follow frames of one kind; what stands between them is left out, unless it is another stream."""
        kind = self._kind(at)
        assert kind is not None
        header = header_of(self._data[at : at + self._lengths[self._data[at : at + 3]][0]], kind[0], kind[2])
        if header is not None:
            at += len(header.frame)
        frames, runs = 0, list[Run]()
        resumed: int | None = at
        while resumed is not None:
            start, (counted, at) = resumed, self._run(resumed, kind)
            frames += counted
            runs.append((start, at))
            resumed = self.sync(at)
            if resumed is not None and self._kind(resumed) != kind:
                break
        return Mp3Stream(kind, frames, tuple(run for run in runs if run[0] < run[1]), header, at)

    def _run(self, at: int, kind: Kind) -> tuple[int, int]:
        """Return the number of frames that follow one another from here, and where they end.

        The last frame may be cut off by the file's end; it is not counted.
        """
        data, lengths, frames = self._data, self._lengths, 0
        version, rate, mono = kind
        end = len(data)
        while (known := lengths.get(data[at : at + 3])) and known[1:] == (version, rate):
            if at + known[0] > end or (data[at + 3] >= 0xC0) != mono:
                break
            at += known[0]
            frames += 1
        return frames, at

    def _kind(self, at: int) -> Kind | None:
        header = self._data[at : at + 4]
        known = self._lengths.get(header[:3])
        return (known[1], known[2], header[3] >= 0xC0) if known and len(header) == 4 else None

    def _in_a_row(self, at: int) -> bool:
        """Say whether so many frames of one kind start here, or as many as there is room for."""
        first = self._kind(at)
        if first is None:
            return False
        for _ in range(_IN_A_ROW):
            if self._kind(at) != first:
                return False
            at += self._lengths[self._data[at : at + 3]][0]
            if at >= len(self._data):
                return at == len(self._data)
        return True
