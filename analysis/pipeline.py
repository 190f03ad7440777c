"""The whole analysis of one recording, from samples to the layers of a Genesis Map."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from analysis import aubio_trackers, rhythm
from analysis.agreement import agreement, second_grids
from analysis.confidence import evidence, trust
from analysis.cues import cues_of
from analysis.descriptors import describe
from analysis.downbeats import Bars, bars
from analysis.layers import layers
from analysis.metrics import FEWEST_BEATS
from analysis.passages import Passage, passages
from analysis.result import FEW_BEATS, SILENT, UNCONFIRMED, Agreement, Analysed, AnalysisSettings
from analysis.sound import Sound, heard
from analysis.spectrum import SAMPLE_RATE
from analysis.tempo import Doubles
from analysis.tracker import to_ms, track

VERSION = "1.4"

Progress = Callable[[str, float], None]


def engine_name(settings: AnalysisSettings) -> str:
    """Name the tracker and everything whose version can change a digit of the result."""
    # All but the beats is ours even then.
    tracker = (f"aubio.tempo/{aubio_trackers.VERSION}",) if settings.engine == "aubio" else ()
    libraries = (f"aubio/{aubio_trackers.VERSION}", f"numpy/{np.__version__}", f"scipy/{scipy.__version__}")
    return " ".join((*tracker, f"beatledger/{VERSION}", *libraries))


def analyse(samples: NDArray[np.float32], settings: AnalysisSettings, on_progress: Progress) -> Analysed:
    """Analyse mono samples at 22,050 Hz; `on_progress(stage, percent)` is called as stages begin.

    The same samples and settings give the same result. Raises UnusableSamples on NaN or infinity.
    """
    return _Run(heard(samples), settings, on_progress).result()


class _Run:
    """One analysis under way: the sound, what has been found, and the time each stage took."""

    def __init__(self, sound: Sound, settings: AnalysisSettings, on_progress: Progress) -> None:
        self._duration_ms = round(len(sound.samples) * 1000.0 / SAMPLE_RATE, 1)
        self._sound = sound
        self._settings = settings
        self._on_progress = on_progress
        self._stage_ms: dict[str, float] = {}

    def result(self) -> Analysed:
        sounding = passages(self._sound)
        if not sounding:
            return self._analysed((), {}, None, (SILENT,))
        with self._stage("spectrum", 0):
            described = describe(self._sound)
            heard_in = [Passage(frames, cues_of(described, frames)) for frames in sounding]
        with self._stage("beats", 20):
            grids = self._grids(heard_in)
            beats_ms = np.concatenate(grids)
        with self._stage("onsets", 40):
            curves = aubio_trackers.onset_curves(self._sound)
            onset_ms = aubio_trackers.onset_times(self._sound, curves.hfc)
        with self._stage("agreement", 65):
            seconds = second_grids(beats_ms, heard_in, described.mel, curves.kl)
            agreed = agreement(beats_ms, seconds)
            speaks_for_it = evidence(grids, heard_in, seconds) if agreed else None
        with self._stage("layers", 95):
            beats = rhythm.rounded_ms(beats_ms)
            found_bars = bars(grids, described.mel)
            found = {
                "rhythm": self._rhythm(beats, found_bars, heard_in, onset_ms)
                | (trust(speaks_for_it, found_bars) if speaks_for_it else {}),
                **layers(self._sound, described),
            }
        warnings = () if agreed else (FEW_BEATS if len(beats) < FEWEST_BEATS else UNCONFIRMED,)
        return self._analysed(beats, found, agreed, warnings)

    def _grids(self, heard_in: list[Passage]) -> list[Doubles]:
        """Return the beats of each passage in ms."""
        if self._settings.engine == "aubio":
            found = aubio_trackers.tempo_beats(self._sound)
            grids = [found[passage.holds(found)] for passage in heard_in]
        else:
            preset, hint = self._settings.preset, self._settings.bpm_hint
            grids = [to_ms(p.frames.start + track(p.cues, preset, hint)) for p in heard_in]
        return [beats_ms[beats_ms < self._duration_ms] for beats_ms in grids]

    def _rhythm(
        self, beats: tuple[float, ...], found: Bars, heard_in: list[Passage], onset_ms: Doubles
    ) -> dict[str, Any]:
        onsets = np.zeros(heard_in[-1].frames.stop if heard_in else 0, np.float32)
        for passage in heard_in:
            onsets[passage.frames] = passage.cues.onsets
        return {
            "source": "analysis",
            "beatGridMs": list(beats),
            "downbeatMs": list(rhythm.rounded_ms(found.downbeats_ms)),
            "beatsPerBar": found.metre,
            "beatStrength": rhythm.beat_strengths(np.array(beats), onsets),
            "onsetMs": list(rhythm.rounded_ms(onset_ms)),
            "tempoCurve": rhythm.tempo_curve(beats),
        }

    def _analysed(
        self,
        beats: tuple[float, ...],
        found: dict[str, Any],
        agreed: Agreement | None,
        warnings: tuple[str, ...],
    ) -> Analysed:
        nothing = np.zeros(0)
        layers_found = found or {"rhythm": self._rhythm((), Bars(nothing), [], nothing)}
        self._on_progress("done", 100.0)
        return Analysed(
            engine=engine_name(self._settings),
            settings={
                "preset": self._settings.preset,
                "bpm_hint": self._settings.bpm_hint,
                "engine": self._settings.engine,
            },
            duration_ms=self._duration_ms,
            bpm=rhythm.tempo_of(beats),
            beats_ms=beats,
            downbeats_ms=tuple(layers_found["rhythm"]["downbeatMs"]),
            layers=layers_found,
            agreement=agreed,
            warnings=warnings,
            stage_ms=self._stage_ms,
        )

    @contextmanager
    def _stage(self, name: str, percent: float) -> Generator[None]:
        self._on_progress(name, percent)
        began = time.perf_counter()
        yield
        self._stage_ms[name] = round((time.perf_counter() - began) * 1000.0, 2)
