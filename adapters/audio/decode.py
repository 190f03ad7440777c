"""The whole of a file as what the analysis wants: mono float32 at 22,050 Hz, never more than the cap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.audio.reader import AudioReader, Samples
from adapters.audio.resample import RATE, Resampler


@dataclass(frozen=True, slots=True)
class Decoded:
    """Sound at 22,050 Hz, and what the file was.

    `duration_ms` counts the frames that came out of the decoder; `sample_rate` (Hz) and `channels` are
    those the file begins with.
    """

    samples: Samples
    duration_ms: float
    media_type: str
    sample_rate: int
    channels: int
    warnings: tuple[str, ...]


def decode(path: Path, on_progress: Callable[[float], None], cap_s: float) -> Decoded:
    """Decode a file; `on_progress` gets the percentage, at most once for each whole one.

    Raises UndecodableAudio: `too_long` in mid-stream, whatever the header says.
    """
    with AudioReader(path, cap_s) as reader:
        # Virtual memory for the longest; only the pages that get written take any.
        samples = np.empty(int(cap_s * RATE) + RATE, np.float32)
        rate, resampler = reader.rate, Resampler(reader.rate)
        filled, percent = 0, -1
        for block in reader.blocks():
            if reader.rate != resampler.rate:
                filled = _fill(samples, filled, resampler.finish())
                resampler = Resampler(reader.rate)
            filled = _fill(samples, filled, resampler.push(block))
            done = min(100, int(100 * reader.duration_ms / (reader.promised_ms or 1000 * cap_s)))
            if done > percent:
                percent = done
                on_progress(float(done))
        filled = _fill(samples, filled, resampler.finish())
        return Decoded(
            samples[:filled],
            reader.duration_ms,
            reader.media_type,
            rate,
            reader.channels,
            tuple(reader.warnings),
        )


def _fill(samples: Samples, filled: int, more: Samples) -> int:
    samples[filled : filled + len(more)] = more
    return filled + len(more)
