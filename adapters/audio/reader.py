"""One audio file as mono blocks at its own rate or rates, whatever a broken or hostile one may try.

For child processes: a decoder that crashes or hangs takes the child with it, not us.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import numpy as np
import soundfile as sf

from adapters.audio.mixing import Mixer, Samples
from adapters.audio.pieces import TOLERATED_LOSS
from adapters.audio.sources import SequentialFile, opened, reason
from commands.analysis.ports import UndecodableAudio

MIN_RATE, MAX_RATE = 8_000, 192_000
MAX_CHANNELS = 6

_MEDIA_TYPES: Final = {
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "RF64": "audio/wav",
    "MP3": "audio/mpeg",
    "FLAC": "audio/flac",
    "OGG": "audio/ogg",
}
_BLOCK_FRAMES = 65_536
_FLAC_BLOCK_FRAMES = 16_384
"""All of it is lost before a FLAC's first damaged frame: libsndfile's error comes instead of the block."""

_NO_LENGTH = 1 << 60

# An exception with two arguments but one in `args` has no pickle of its own, and ours leave the child.
copyreg.pickle(UndecodableAudio, lambda error: (UndecodableAudio, (error.code, error.detail)))


class AudioReader:
    """Decodes one file in blocks. Raises UndecodableAudio, in mid-stream when it exceeds `cap_s`.

    `rate` (Hz) is that of the block given last: joined files may have several. After `blocks` ended,
    `duration_ms` is the true length and `warnings` says what was wrong with the file. `promised_ms` is the
    length by the mended headers, None where there is none; `missing` is the share of the promised sound that
    the file lacks, None without a promise.
    """

    def __init__(self, path: Path, cap_s: float) -> None:
        self._source = opened(path)
        self._cap_s = cap_s
        self._mixer = Mixer()
        self._damaged = False
        first = self._source.first
        self.rate: int = first.samplerate
        self.channels: int = first.channels
        self.media_type = self._accepted(first.format)
        self.missing = self._source.mended.missing
        self._promised_frames = self._promised()
        self.promised_ms = None if self._promised_frames is None else 1000 * self._promised_frames / self.rate
        self._before_ms = 0.0
        self._frames = 0
        self.warnings: list[str] = []

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    @property
    def duration_ms(self) -> float:
        """How much sound has come so far."""
        return self._before_ms + 1000 * self._frames / self.rate

    @property
    def exact(self) -> bool:
        """Whether `promised_ms` is more than a guess."""
        return self.promised_ms is not None and self._source.mended.exact

    def blocks(self) -> Iterator[Samples]:
        """Yield mono blocks, all finite, as far as the file can be read."""
        try:
            for lead, file in self._source.files():
                if not _is_taken(file):
                    self._damaged = True
                    break
                self._before_ms, self._frames, self.rate = self.duration_ms, 0, file.samplerate
                yield from self._sound(lead, file)
        except sf.LibsndfileError as error:
            if self.duration_ms < 1000:
                raise UndecodableAudio("undecodable", f"damaged from the start: {reason(error)}") from error
            self._damaged = True
        if self.duration_ms == 0:
            raise UndecodableAudio("undecodable", "the file holds no sound that can be decoded")
        self._judge()

    def ends_well(self) -> bool:
        """Say whether the last promised frame can be read. Only for the end: it moves within the file."""
        if not self.exact or self._promised_frames is None or self.media_type == "audio/mpeg":
            return True
        if self.missing is not None:
            return True  # Judged by the bytes: not every codec of a WAV can seek.
        try:
            self._source.first.seek(self._promised_frames - 1)
            return len(self._source.first.read(1, dtype="float32", always_2d=True)) == 1
        except sf.LibsndfileError:
            return False

    def _sound(self, lead: int, file: SequentialFile) -> Iterator[Samples]:
        if lead:
            yield self._counted(np.zeros(lead, np.float32))
        frames = _FLAC_BLOCK_FRAMES if self.media_type == "audio/flac" else _BLOCK_FRAMES
        into = np.empty((frames, file.channels), np.float32)
        left = file.frames
        # Never beyond the stated end: at bytes behind its last frame a FLAC loses the whole block.
        while left > 0 and len(block := cast(Samples, file.read(dtype="float32", out=into[:left]))):
            left -= len(block)
            yield self._counted(self._mixer.mono(block))

    def _counted(self, block: Samples) -> Samples:
        self._frames += len(block)
        if self.duration_ms > 1000 * self._cap_s:
            raise too_long(self._cap_s)
        return block

    def _promised(self) -> int | None:
        """Return the length that the decoder takes the file for, with what it leaves off."""
        source = self._source
        if not source.is_whole or source.first.frames >= _NO_LENGTH:
            return None
        return source.first.frames + (source.mended.pieces[0].lead if source.mended.pieces else 0)

    def _judge(self) -> None:
        """Compare what came out with what the headers promised."""
        self.warnings.extend(self._source.mended.warnings)
        self.warnings.extend(self._mixer.warnings())
        if self.missing is not None and self.missing > TOLERATED_LOSS:
            self.warnings.append(f"cut off: {self.missing:.0%} of what the header promises is missing")
        elif self._damaged or (
            self.exact and self.duration_ms < (1 - TOLERATED_LOSS) * (self.promised_ms or 0)
        ):
            at_s = self.duration_ms / 1000
            self.warnings.append(f"damaged: nothing after {at_s:.1f} s could be decoded")

    def _accepted(self, kind: str) -> str:
        """Return the media type of a file whose format, rate and channels are taken."""
        media_type = _MEDIA_TYPES.get(kind)
        if media_type is None:
            raise UndecodableAudio("undecodable", f"{kind}: send WAV, MP3, FLAC or OGG")
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise UndecodableAudio("undecodable", f"sampled at {self.rate} Hz: send 8 to 192 kHz")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UndecodableAudio("undecodable", f"{self.channels} channels: send 1 to {MAX_CHANNELS}")
        return media_type


def _is_taken(file: SequentialFile) -> bool:
    return MIN_RATE <= file.samplerate <= MAX_RATE and 1 <= file.channels <= MAX_CHANNELS


def too_long(cap_s: float) -> UndecodableAudio:
    """Return the refusal of a file that holds more than `cap_s` seconds of sound."""
    return UndecodableAudio("too_long", f"longer than {cap_s / 60:g} minutes of sound")
