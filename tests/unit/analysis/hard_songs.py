"""Songs with exact beats that trackers fail on: each breaks one assumption about where beats are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis import instruments
from analysis.synth import Song, synthesise

RATE = 22_050
SECONDS = 60
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
_ROOTS = (0, 5, 7, 3)


@dataclass
class Band:
    """Plays sounds at any time (s) into one recording."""

    rng: np.random.Generator
    samples: NDArray[np.float64] = field(default_factory=lambda: np.zeros(SECONDS * RATE))

    def __post_init__(self) -> None:
        self._drums = {
            name: [getattr(instruments, name)(self.rng, RATE) for _ in range(4)]
            for name in ("kick", "snare", "hat", "ride")
        }

    def drum(self, name: str, at: float, gain: float) -> None:
        self._add(self._drums[name][self.rng.integers(4)], at, gain)

    def note(self, midi: int, at: float, seconds: float, gain: float, harmonics: int = 8) -> None:
        self._add(instruments.note(midi, max(seconds, 0.08), 0.005, harmonics, RATE), at, gain)

    def song(self, beats: NDArray[np.float64], metre: int = 4) -> Song:
        noisy = self.samples + 0.0005 * self.rng.standard_normal(len(self.samples))
        ms = tuple((beats * 1000).tolist())
        samples = (noisy * 0.8 / np.abs(noisy).max()).astype(np.float32)
        return Song(samples, RATE, ms, ms[::metre])

    def _add(self, sound: NDArray[np.float32], at: float, gain: float) -> None:
        start = int(at * RATE)
        sound = sound[: max(len(self.samples) - start, 0)]
        self.samples[start : start + len(sound)] += gain * sound


def steady_beats(bpm: float) -> NDArray[np.float64]:
    return np.arange(0.35, SECONDS - 0.5, 60 / bpm)


def half_beat_cut(style: str, bpm: float, seed: int) -> Song:
    """A song with half a beat of silence put in at its middle bar line."""
    played = synthesise(style, bpm, SECONDS, seed=seed, sample_rate=RATE)  # type: ignore[arg-type]
    cut_ms = played.downbeats_ms[len(played.downbeats_ms) // 2]
    gap_ms, at = 30_000 / bpm, int(cut_ms * RATE / 1000)
    silence = np.zeros(int(gap_ms * RATE / 1000), np.float32)

    def moved(times: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(t + gap_ms if t >= cut_ms else t for t in times)

    samples = np.concatenate([played.samples[:at], silence, played.samples[at:]])
    return Song(samples, RATE, moved(played.beats_ms), moved(played.downbeats_ms))


def rubato(depth: float, seed: int) -> Song:
    """A piano in eighths whose tempo swings around 96 BPM every eleven seconds."""
    band = Band(np.random.default_rng(seed))
    rng, at, times = band.rng, 0.5, list[float]()
    swing = rng.uniform(0, 6.28)
    while at < SECONDS - 2:
        times.append(at)
        at += 60 / (96 * (1 + depth * np.sin(2 * np.pi * at / 11 + swing)))
    beats, midi = np.array(times), 60
    for eighth, on in enumerate(np.interp(np.arange(0, len(beats) - 1, 0.5), np.arange(len(beats)), beats)):
        midi = int(np.clip(midi + rng.integers(-2, 3), 48, 84))
        accent = 1.2 if eighth % 2 == 0 else 0.8
        band.note(midi, on + rng.normal(0, 0.008), 0.9, 0.5 * rng.uniform(0.5, 1) * accent)
        if eighth % 8 == 0:
            band.note(36 + _SCALE[rng.integers(8)], on, 2.0, 0.6, 6)
        if eighth % 4 == 0:
            band.note(48 + _SCALE[rng.integers(8)], on, 1.0, 0.4)
    return band.song(beats)


def drummer(seed: int) -> Song:
    """A rock band around 100 BPM whose tempo wanders, each stroke some 10 ms off."""
    band = Band(np.random.default_rng(seed))
    rng, at, times, bpm = band.rng, 0.5, list[float](), 100.0
    while at < SECONDS - 2:
        times.append(at)
        bpm = float(np.clip(bpm * (1 + rng.normal(0, 0.012)), 88, 113))
        at += 60 / bpm
    beats = np.array(times)
    for number, (on, length) in enumerate(zip(beats, np.diff(beats), strict=False)):
        off, root = on + length / 2, 33 + _ROOTS[number // 4 % 4]
        band.drum("snare" if number % 2 else "kick", on + rng.normal(0, 0.01), 1.0)
        for place in (on, off):
            band.drum("hat", place + rng.normal(0, 0.01), 0.5)
            band.note(root, place + rng.normal(0, 0.01), length * 0.45, 0.4, 5)
        if number % 4 == 2:
            band.drum("kick", off + rng.normal(0, 0.01), 0.6)
    return band.song(beats)


def off_beat(bpm: float, seed: int) -> Song:
    """Dance music with a soft kick on the beat, loud bass, chords and a ride off it."""
    band, length = Band(np.random.default_rng(seed)), 60 / bpm
    beats = steady_beats(bpm)
    for number, on in enumerate(beats):
        off, root = on + length / 2, 33 + _ROOTS[number // 4 % 4]
        band.drum("kick", on, 0.8)
        if number % 2:
            band.drum("snare", on, 0.25)
        band.drum("ride", off, 0.9 * band.rng.uniform(0.8, 1))
        band.note(root + 12, off, length * 0.45, 0.8)
        for step in (0, 3, 7):
            band.note(root + 24 + step, off, length * 0.4, 0.3, 10)
    return band.song(beats)


def ballad(seed: int, bpm: float = 62) -> Song:
    """A slow rock beat with hats in sixteenths."""
    band, length = Band(np.random.default_rng(seed)), 60 / bpm
    beats = steady_beats(bpm)
    for number, on in enumerate(beats):
        band.drum("snare" if number % 2 else "kick", on, 0.95)
        if number % 4 == 2:
            band.drum("kick", on + 0.75 * length, 0.6)
        for sixteenth in range(4):
            band.drum("hat", on + sixteenth * length / 4, 0.5 if sixteenth % 2 == 0 else 0.3)
        band.note(33 + _ROOTS[number // 4 % 4], on, length * 0.9, 0.5, 5)
    return band.song(beats)


def gigue(seed: int, bpm: float = 70) -> Song:
    """A keyboard in 6/8: three eighths a beat."""
    band, length = Band(np.random.default_rng(seed)), 60 / bpm
    beats = steady_beats(bpm)
    for number, on in enumerate(beats):
        for eighth in range(3):
            midi, gain = 60 + int(band.rng.integers(0, 14)), 0.6 if eighth == 0 else 0.43
            band.note(midi, on + eighth * length / 3 + band.rng.normal(0, 0.004), 0.35, gain)
        band.note(40 + _ROOTS[number // 2 % 4], on, length * 0.9, 0.5, 6)
    return band.song(beats, 2)
