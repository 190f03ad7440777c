"""Songs with exactly known beats: what the tests, the demo and the benchmarks measure a tracker against.

Everything is drawn from one seed, so a song is the same wherever it is made.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis import instruments
from analysis.patterns import BARS, Hit, Style

Change = Literal["ramp", "step"]

_LEAD_IN_S = 0.35
_ROOTS = (45, 41, 48, 43)  # A F C G, one a bar
_CHORD = (0, 4, 7, 12)


@dataclass(frozen=True, slots=True)
class Song:
    """Mono samples in -1..1 and the exact times (ms from the start) of every beat and downbeat in them."""

    samples: NDArray[np.float32]
    sample_rate: int
    beats_ms: tuple[float, ...]
    downbeats_ms: tuple[float, ...]

    def wav(self) -> bytes:
        """Return the song as a 16 bit mono WAV file."""
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(self.sample_rate)
            out.writeframes((self.samples * 32767).astype("<i2").tobytes())
        return buffer.getvalue()


def _beat_times(bpm: float, bpm_end: float, change: Change, seconds: float) -> Iterator[float]:
    at = _LEAD_IN_S
    while at < seconds - 0.5:
        yield at
        done = (at - _LEAD_IN_S) / (seconds - _LEAD_IN_S)
        tempo = bpm + (bpm_end - bpm) * (done if change == "ramp" else float(done >= 0.5))
        at += 60.0 / tempo


class _Band:
    """Plays hits: drum sounds come in four variations, notes are made once for each pitch and length."""

    def __init__(self, rng: np.random.Generator, sample_rate: int) -> None:
        self._rng = rng
        self._sample_rate = sample_rate
        drums = {
            "kick": instruments.kick,
            "snare": instruments.snare,
            "hat": instruments.hat,
            "ride": instruments.ride,
        }
        self._drums = {name: [make(rng, sample_rate) for _ in range(4)] for name, make in drums.items()}
        self._notes: dict[tuple[str, int, float], instruments.Samples] = {}

    def sound(self, hit: Hit, root: int, beat_s: float) -> instruments.Samples:
        """Return the samples of a hit in a bar on `root` (MIDI)."""
        if hit.instrument in self._drums:
            return self._drums[hit.instrument][self._rng.integers(4)]
        key = (hit.instrument, root + hit.interval, round(hit.length * beat_s, 2))
        if key not in self._notes:
            self._notes[key] = self._note(*key)
        return self._notes[key]

    def _note(self, instrument: str, midi: int, seconds: float) -> instruments.Samples:
        play = partial(instruments.note, seconds=max(seconds, 0.08), sample_rate=self._sample_rate)
        if instrument == "bass":
            return play(midi - 12, attack_s=0.004, harmonics=5)
        attack_s, harmonics = (0.005, 8) if instrument == "chord" else (0.05, 12)
        voices = [play(midi + 12 + step, attack_s=attack_s, harmonics=harmonics) for step in _CHORD]
        return (np.sum(voices, axis=0) * 0.5).astype(np.float32)


def synthesise(
    style: Style,
    bpm: float,
    seconds: float,
    seed: int = 0,
    *,
    bpm_end: float | None = None,
    change: Change = "ramp",
    sample_rate: int = 44_100,
) -> Song:
    """Make a song of `seconds` at `bpm`; with `bpm_end` the tempo ramps there, or steps there half-way.

    The first beat is a downbeat at 350 ms. Strokes vary in loudness and, off the beat, by ±4 ms.
    """
    rng = np.random.default_rng([seed, int(bpm * 100)])
    beats = np.array(list(_beat_times(bpm, bpm if bpm_end is None else bpm_end, change, seconds)))
    metre, hits = BARS[style]
    samples = np.zeros(int(seconds * sample_rate), dtype=np.float32)
    band = _Band(rng, sample_rate)
    for bar, first in enumerate(range(0, beats.size, metre)):
        for hit in hits:
            _play(samples, band, rng, beats, hit, first, _ROOTS[bar % 4], sample_rate)
    samples += 0.0005 * rng.standard_normal(samples.size, dtype=np.float32)
    samples *= 0.8 / max(float(np.abs(samples).max()), 1e-9)
    beats_ms = tuple(round(float(t) * 1000, 3) for t in beats)
    return Song(samples, sample_rate, beats_ms, beats_ms[::metre])


def _play(
    samples: instruments.Samples,
    band: _Band,
    rng: np.random.Generator,
    beats: NDArray[np.float64],
    hit: Hit,
    first: int,
    root: int,
    sample_rate: int,
) -> None:
    index = first + hit.at
    if index > beats.size - 1:
        return
    beat_s = float(np.diff(beats)[min(int(index), beats.size - 2)])
    jitter_s = 0.0 if float(hit.at).is_integer() else rng.uniform(-0.004, 0.004)
    start = int((np.interp(index, np.arange(beats.size), beats) + jitter_s) * sample_rate)
    sound = band.sound(hit, root, beat_s)[: samples.size - start]
    samples[start : start + sound.size] += np.float32(hit.gain * rng.uniform(0.8, 1.0)) * sound
