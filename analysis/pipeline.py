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
from analysis.agreement import agreement
from analysis.beats import trim_silence
from analysis.descriptors import describe
from analysis.downbeats import BEATS_PER_BAR, downbeats
from analysis.layers import layers
from analysis.metrics import FEWEST_BEATS
from analysis.onset import onset_function
from analysis.result import FEW_BEATS, SILENT, UNCONFIRMED, Agreement, Analysed, AnalysisSettings
from analysis.sound import Sound, heard
from analysis.spectrum import HOP, SAMPLE_RATE, Floats
from analysis.tempo import Doubles
from analysis.tracker import to_ms, track

VERSION = "1.3"
_SILENCE = 1e-4  # -80 dB full scale
_QUIET = 2e-3  # 54 dB below the loudest frame

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
        sounding = _sounding(self._sound)
        if not bool(sounding.any()):
            return self._analysed((), (), {}, None, (SILENT,))
        with self._stage("spectrum", 0):
            described = describe(self._sound)
            onsets = onset_function(described.mel)
        with self._stage("beats", 20):
            beats_ms = self._beats(onsets, sounding)
        with self._stage("onsets", 40):
            curves = aubio_trackers.onset_curves(self._sound)
            onset_ms = aubio_trackers.onset_times(self._sound, curves.hfc)
        with self._stage("agreement", 65):
            agreed = agreement(beats_ms, described.mel, curves.kl)
        with self._stage("layers", 95):
            beats = rhythm.rounded_ms(beats_ms)
            bars = rhythm.rounded_ms(downbeats(np.array(beats), described.mel))
            found = {
                "rhythm": self._rhythm(beats, bars, onsets, onset_ms),
                **layers(self._sound, described),
            }
        warnings = () if agreed else (FEW_BEATS if len(beats) < FEWEST_BEATS else UNCONFIRMED,)
        return self._analysed(beats, bars, found, agreed, warnings)

    def _beats(self, onsets: Floats, sounding: NDArray[np.bool_]) -> Doubles:
        if self._settings.engine == "aubio":
            beats_ms = aubio_trackers.tempo_beats(self._sound)
        else:
            found = track(onsets, self._settings.preset, self._settings.bpm_hint)
            beats_ms = to_ms(trim_silence(found, sounding))
        return beats_ms[beats_ms < self._duration_ms]

    def _rhythm(
        self, beats: tuple[float, ...], bars: tuple[float, ...], onsets: Floats, onset_ms: Doubles
    ) -> dict[str, Any]:
        return {
            "source": "analysis",
            "beatGridMs": list(beats),
            "downbeatMs": list(bars),
            "beatsPerBar": BEATS_PER_BAR if bars else None,
            "beatStrength": rhythm.beat_strengths(np.array(beats), onsets),
            "onsetMs": list(rhythm.rounded_ms(onset_ms)),
            "tempoCurve": rhythm.tempo_curve(beats),
        }

    def _analysed(
        self,
        beats: tuple[float, ...],
        bars: tuple[float, ...],
        found: dict[str, Any],
        agreed: Agreement | None,
        warnings: tuple[str, ...],
    ) -> Analysed:
        silent = {"rhythm": self._rhythm((), (), np.zeros(0, np.float32), np.zeros(0))}
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
            downbeats_ms=bars,
            layers=found or silent,
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


def _sounding(sound: Sound) -> NDArray[np.bool_]:
    """Tell which whole frames (hop 256) are louder than -54 dB of the loudest and -80 dB of full scale."""
    rms = np.sqrt(sound.power[: len(sound.samples) // HOP])
    return rms > max(_SILENCE, _QUIET * float(rms.max(initial=0.0)))
