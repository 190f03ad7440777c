"""One analysis from file to grid, layers and waveform, in a child."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import scipy.fft  # pyright: ignore[reportUnusedImport] # noqa: F401 - now, so that its BLAS is limited too
import soundfile as sf
from threadpoolctl import threadpool_limits

from adapters.audio.decode import decode
from analysis.peaks import peaks
from analysis.pipeline import analyse as analyse_samples
from analysis.result import Analysed, AnalysisSettings

VERSION = "4"
"""Of the way from file to samples: its digits show in every map."""

_DECODING_SHARE = 0.4
"""Of the time an analysis takes, so that the percentage is that of the whole."""


def analyse(
    path: Path, settings: AnalysisSettings, cap_s: float, on_progress: Callable[[str, float], None]
) -> Analysed:
    """Decode and analyse a file; raises UndecodableAudio. The decoder's warnings come first.

    On one BLAS thread, whatever the process has: how a product is split moves the last digits of samples.
    """
    with threadpool_limits(1, "blas"):
        return _analyse(path, settings, cap_s, on_progress)


def _analyse(
    path: Path, settings: AnalysisSettings, cap_s: float, on_progress: Callable[[str, float], None]
) -> Analysed:
    started = time.perf_counter()
    decoded = decode(path, lambda percent: on_progress("decoding", _DECODING_SHARE * percent), cap_s)
    decoding_ms = 1000 * (time.perf_counter() - started)
    analysed = analyse_samples(
        decoded.samples,
        settings,
        lambda stage, percent: on_progress(stage, 100 * _DECODING_SHARE + (1 - _DECODING_SHARE) * percent),
    )
    drawing = time.perf_counter()
    # As small as they come: the parent, which waits on the pipe, makes the JSON of them.
    waveform = b"".join(zoom.binary() for zoom in peaks(decoded.samples))
    drawing_ms = 1000 * (time.perf_counter() - drawing)
    return dataclasses.replace(
        analysed,
        engine=f"{analysed.engine} decoding/{VERSION} libsndfile/{sf.__libsndfile_version__}",
        duration_ms=round(decoded.duration_ms, 1),
        warnings=decoded.warnings + analysed.warnings,
        stage_ms={
            "decoding": round(decoding_ms, 2),
            **analysed.stage_ms,
            "peaks": round(drawing_ms, 2),
        },
        peaks=waveform,
    )
