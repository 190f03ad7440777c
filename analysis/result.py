"""What one analysis of one recording yields, before it becomes a track version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from analysis.metrics import FEWEST_BEATS

SILENT = "the recording is silent: no beats, and no metrics"
FEW_BEATS = f"fewer than {FEWEST_BEATS} beats: no tempo, and no metrics"
UNCONFIRMED = "the second grids found too few beats to confirm this one: without a reference, no metrics"

OF_THE_GRID = frozenset((SILENT, FEW_BEATS, UNCONFIRMED))
"""Warnings of the tracker's grid alone; the others are of the audio, whatever grid lies over it."""

Preset = Literal["edm", "rock", "classical", "jazz", "auto"]
Engine = Literal["beatledger", "aubio"]


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What the caller may choose; with the audio it determines the result completely."""

    preset: Preset = "auto"
    bpm_hint: float | None = None
    engine: Engine = "beatledger"


class UnusableSamples(ValueError):
    """The samples hold NaN or infinity; trying again gives the same."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Mean agreement of the grid with the second, independent grids: not an accuracy, and named so.

    `f_measure` (±70 ms) and `cemgil` (σ 40 ms) are in 0..1; `beats` is the number of second-grid beats.
    """

    f_measure: float
    cemgil: float
    engines: tuple[str, ...]
    beats: int


@dataclass(frozen=True, slots=True)
class Analysed:
    """The grid and all layers of one recording. Times in ms from the start of the audio, tempi in BPM.

    `engine` names the tracker with its version, `settings` everything that determined the result (as JSON).
    `layers` is the map's `layers` object as JSON-ready data, rounded. `agreement` and `bpm` are None where
    the recording does not support them (silence, fewer than about eight beats), with a warning that says so.
    `stage_ms` is the run's own time by stage and never part of a hash. `peaks` are the waveform's peaks, the
    binary files of `analysis.peaks` one after another, finest zoom first; empty where nobody made them.
    """

    engine: str
    settings: Mapping[str, Any]
    duration_ms: float
    bpm: float | None
    beats_ms: tuple[float, ...]
    downbeats_ms: tuple[float, ...]
    layers: Mapping[str, Any]
    agreement: Agreement | None
    warnings: tuple[str, ...] = ()
    stage_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    peaks: bytes = b""
