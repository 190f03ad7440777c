"""Songs with known beats for the analysis benchmark: synthetic ones, and real ones where they are installed.

The real ones are Debian's package fretsonfire-songs-muldjord (CC BY-SA 3.0, El Senator; never part of this
repository): song.ogg and guitar.ogg mixed, beats from the tempo map of notes.mid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

from analysis.midi import read_tempo_map
from analysis.result import Preset
from analysis.spectrum import SAMPLE_RATE
from analysis.synth import Style, synthesise

WIDE_RATE = 44_100
INSTALLED = Path("/usr/share/games/fretsonfire/data/songs/muldjord")


@dataclass(frozen=True, slots=True)
class AnnotatedSong:
    """Mono samples, the true beats in seconds, and the preset a user would choose.

    `wide` is the sound at 44,100 Hz, for the trackers made for it; `samples` is the same at 22,050 Hz.
    """

    name: str
    samples: NDArray[np.float32]
    wide: NDArray[np.float32]
    beats_s: NDArray[np.float64]
    preset: Preset


def synthetic(seconds: float = 60.0) -> Iterator[AnnotatedSong]:
    """Yield steady songs in four styles, a ramp and a tempo step."""
    steady: list[tuple[Style, Preset, tuple[float, ...]]] = [
        ("edm", "edm", (100, 128, 150, 174)),
        ("rock", "rock", (85, 110, 140, 165)),
        ("jazz", "jazz", (100, 140, 200)),
        ("strings", "classical", (80,)),
    ]
    for style, preset, tempi in steady:
        for bpm in tempi:
            yield _played(f"{style} {bpm:.0f}", style, preset, bpm, seconds)
    yield _played("rock 110-140 ramp", "rock", "rock", 110, seconds, bpm_end=140)
    yield _played("edm 120-128 step", "edm", "edm", 120, seconds, bpm_end=128, step=True)


def _played(
    name: str,
    style: Style,
    preset: Preset,
    bpm: float,
    seconds: float,
    bpm_end: float | None = None,
    step: bool = False,
) -> AnnotatedSong:
    change = "step" if step else "ramp"
    song = synthesise(style, bpm, seconds, seed=11, bpm_end=bpm_end, change=change, sample_rate=WIDE_RATE)
    return AnnotatedSong(name, _narrow(song.samples), song.samples, np.array(song.beats_ms) / 1000.0, preset)


def recorded(folder: Path) -> Iterator[AnnotatedSong]:
    """Yield the songs of a Frets on Fire folder; nothing if it is not there."""
    for midi in sorted(folder.glob("*/notes.mid")):
        wide = _mixed([midi.parent / "song.ogg", midi.parent / "guitar.ogg"])
        beats_ms = read_tempo_map(midi.read_bytes()).beats_ms(len(wide) * 1000.0 / WIDE_RATE)
        yield AnnotatedSong(midi.parent.name, _narrow(wide), wide, np.array(beats_ms) / 1000.0, "rock")


def _mixed(files: list[Path]) -> NDArray[np.float32]:
    parts = [_mono(file) for file in files if file.exists()]
    mix = np.zeros(max(map(len, parts)), dtype=np.float32)
    for part in parts:
        mix[: len(part)] += part
    return mix


def _mono(file: Path) -> NDArray[np.float32]:
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return scipy.signal.resample_poly(samples.mean(axis=1), WIDE_RATE, rate).astype(np.float32)


def _narrow(wide: NDArray[np.float32]) -> NDArray[np.float32]:
    return scipy.signal.resample_poly(wide, SAMPLE_RATE, WIDE_RATE).astype(np.float32)
