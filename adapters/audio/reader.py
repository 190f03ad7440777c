"""One audio file as mono blocks at its own rate, whatever a broken or hostile one may try.

For child processes: a decoder that crashes or hangs takes the child with it, not us.
"""

from __future__ import annotations

import copyreg
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from adapters.audio.promises import missing_share
from adapters.audio.sniff import SNIFF_BYTES, sniff
from commands.ports import UndecodableAudio

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 8_000, 192_000
MAX_CHANNELS = 6

TOLERATED_LOSS = 0.01
"""The share of the promised sound that may be missing without a word: sloppy writers lose the tail."""

_MEDIA_TYPES: Final = {
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "RF64": "audio/wav",
    "MP3": "audio/mpeg",
    "FLAC": "audio/flac",
    "OGG": "audio/ogg",
}
_BLOCK_FRAMES = 16_384
"""Also what is lost before a FLAC's first damaged frame: libsndfile's error comes instead of the block."""

_LOUDEST = 1e6
"""Floats beyond are no sound: full scale is 1, and integers written as floats by mistake reach 32,768."""

_NO_LENGTH = 1 << 60

# An exception with two arguments but one in `args` has no pickle of its own, and ours leave the child.
copyreg.pickle(UndecodableAudio, lambda error: (UndecodableAudio, (error.code, error.detail)))


class _Sequential(sf.SoundFile):
    """A sound file that is only read onwards.

    soundfile seeks after every read to where the file already stands, and in an MP3 that loses the bit
    reservoir: the next 50 ms come out garbled, at every block.
    """

    def seekable(self) -> bool:
        return False


class AudioReader:
    """Decodes one file in blocks. Raises UndecodableAudio, in mid-stream when it exceeds `cap_s`.

    After `blocks` ended, `frames` is the true length and `warnings` says what was wrong with the file.
    `promised_frames` is the header's claim, an estimate for MP3, None where there is none; `missing` is the
    share of the promised bytes that the file lacks, None without a promise.
    """

    def __init__(self, path: Path, cap_s: float) -> None:
        self._file = _open(path)
        self._cap_s = cap_s
        self._not_numbers = 0
        self._damaged = False
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.media_type = self._accepted()
        self.promised_frames: int | None = self._file.frames if self._file.frames < _NO_LENGTH else None
        self.missing = missing_share(path)
        self.frames = 0
        self.warnings: list[str] = []

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def exact(self) -> bool:
        """Whether the header states the length; that of an MP3 without a Xing frame is a guess."""
        guessed = self.media_type == "audio/mpeg" and self.missing is None
        return self.promised_frames is not None and not guessed

    @property
    def _promised_exactly(self) -> int:
        return (self.promised_frames or 0) if self.exact else 0

    def blocks(self) -> Iterator[Samples]:
        """Yield mono blocks, all finite, as far as the file can be read."""
        mix = np.full(self.channels, 1 / self.channels, np.float32)
        while (block := self._read()) is not None:
            self.frames += len(block)
            if self.frames > self._cap_s * self.rate:
                raise too_long(self._cap_s)
            yield self._finite(block) @ mix
        if self.frames == 0:
            raise UndecodableAudio("undecodable", "the file holds no sound that can be decoded")
        self._judge()

    def ends_well(self) -> bool:
        """Say whether the last promised frame can be read. Only for the end: it moves within the file."""
        if not self.exact or self.promised_frames is None or self.media_type == "audio/mpeg":
            return True
        try:
            self._file.seek(self.promised_frames - 1)
            return len(self._file.read(1, dtype="float32", always_2d=True)) == 1
        except sf.LibsndfileError:
            return False

    def _read(self) -> Samples | None:
        try:
            read = self._file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except sf.LibsndfileError as error:
            if self.frames < self.rate:
                raise UndecodableAudio("undecodable", f"damaged from the start: {_reason(error)}") from error
            self._damaged = True
            return None
        block = cast(Samples, read)
        return block if len(block) else None

    def _finite(self, block: Samples) -> Samples:
        good = np.abs(block) < _LOUDEST
        if good.all():
            return block
        self._not_numbers += int(good.size - np.count_nonzero(good))
        return np.where(good, block, np.float32(0))

    def _judge(self) -> None:
        """Compare what came out with what the header promised."""
        if self._not_numbers:
            self.warnings.append(f"{self._not_numbers} samples are no numbers or beyond reason: now silence")
        if self.missing is not None and self.missing > TOLERATED_LOSS:
            self.warnings.append(f"cut off: {self.missing:.0%} of what the header promises is missing")
        elif self._damaged or self.frames < (1 - TOLERATED_LOSS) * self._promised_exactly:
            self.warnings.append(f"damaged: nothing after {self.frames / self.rate:.1f} s could be decoded")

    def _accepted(self) -> str:
        """Return the media type of a file whose format, rate and channels are taken."""
        media_type = _MEDIA_TYPES.get(self._file.format)
        if media_type is None:
            raise UndecodableAudio("undecodable", f"{self._file.format}: send WAV, MP3, FLAC or OGG")
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise UndecodableAudio("undecodable", f"sampled at {self.rate} Hz: send 8 to 192 kHz")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UndecodableAudio("undecodable", f"{self.channels} channels: send 1 to {MAX_CHANNELS}")
        return media_type


def too_long(cap_s: float) -> UndecodableAudio:
    """Return the refusal of a file that holds more than `cap_s` seconds of sound."""
    return UndecodableAudio("too_long", f"longer than {cap_s / 60:g} minutes of sound")


def _open(path: Path) -> _Sequential:
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    if sniff(head) is None:
        raise UndecodableAudio("undecodable", "no WAV, MP3, FLAC or OGG file by its content")
    try:
        # As bytes, which soundfile takes but does not declare: it cannot encode a name that is no UTF-8.
        return _Sequential(os.fsencode(path))  # pyright: ignore[reportArgumentType]
    except sf.LibsndfileError as error:
        raise UndecodableAudio("undecodable", f"the decoder refuses it: {_reason(error)}") from error


def _reason(error: sf.LibsndfileError) -> str:
    """Return what libsndfile says; of an MP3 without a good frame it says that the file does not exist."""
    reason = error.error_string.strip().rstrip(".")
    return "no sound can be found in it" if "does not exist" in reason else reason or "no reason given"
