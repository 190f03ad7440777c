"""Beat trackers side by side on songs with known beats: ours, plain aubio.tempo, librosa's if it is there.

`python -m bench.analysis [FOLDER]` prints the table "Beat tracking" of docs/benchmarks.md and what each stage
of ours costs. F-measure ±70 ms, Cemgil σ 40 ms, CMLt and AMLt (continuity) by mir_eval, no five-second trim;
× real time counts the CPU time of one core, decoding left out for all.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import aubio_trackers
from analysis.descriptors import describe
from analysis.onset import onset_function
from analysis.pipeline import analyse
from analysis.result import Preset, Settings
from analysis.sound import heard
from analysis.spectrum import SAMPLE_RATE, Floats
from analysis.synth import synthesise
from analysis.tracker import to_ms, track
from bench.annotated_songs import INSTALLED, AnnotatedSong, recorded, synthetic

Tracker = Callable[[AnnotatedSong], NDArray[np.float64]]


def _ours(samples: Floats, preset: Preset) -> NDArray[np.float64]:
    return to_ms(track(onset_function(describe(heard(samples)).mel), preset)) / 1000.0


def _librosa(song: AnnotatedSong) -> NDArray[np.float64]:
    import librosa

    return librosa.beat.beat_track(y=song.samples, sr=SAMPLE_RATE, units="time")[1]


def trackers() -> dict[str, Tracker]:
    """Return those that can run here."""
    found: dict[str, Tracker] = {
        "ours, preset": lambda song: _ours(song.samples, song.preset),
        "ours, auto": lambda song: _ours(song.samples, "auto"),
        "aubio.tempo": lambda song: aubio_trackers.tempo_beats(heard(song.samples)) / 1000.0,
    }
    if find_spec("librosa"):
        found["librosa"] = _librosa
    return found


def scores(truth: NDArray[np.float64], found: NDArray[np.float64]) -> list[float]:
    """Return F, Cemgil, CMLt and AMLt."""
    import mir_eval.beat as beat

    _, cmlt, _, amlt = beat.continuity(truth, found)
    return [beat.f_measure(truth, found), beat.cemgil(truth, found)[0], cmlt, amlt]


def compare(title: str, songs: Iterable[AnnotatedSong]) -> None:
    """Print each tracker's mean scores and speed, and the F-measure of ours song by song."""
    results: dict[str, list[list[float]]] = defaultdict(list)
    spent: dict[str, float] = defaultdict(float)
    seconds, names = 0.0, list[str]()
    for song in songs:
        seconds += len(song.samples) / SAMPLE_RATE
        names.append(song.name)
        for name, tracker in trackers().items():
            began = time.process_time()
            found = tracker(song)
            spent[name] += time.process_time() - began
            results[name].append(scores(song.beats_s, found))
    if not names:
        return
    print(f"\n### {title} ({len(names)} songs, {seconds / 60:.0f} min)\n")
    print("| tracker | F | Cemgil | CMLt | AMLt | × real time |\n|---|---|---|---|---|---|")
    for name, rows in results.items():
        figures = " | ".join(f"{figure:.3f}" for figure in np.mean(rows, axis=0))
        print(f"| {name} | {figures} | {seconds / spent[name]:.0f} |")
    each = ", ".join(f"{n} {r[0]:.3f}" for n, r in zip(names, results["ours, auto"], strict=True))
    print(f"\nF of ours (auto): {each}")


def stages(seconds: float = 240.0) -> None:
    """Print what each stage of the whole analysis costs for a four-minute song: the least of three runs."""
    samples = synthesise("rock", 118, seconds, sample_rate=SAMPLE_RATE).samples
    runs = [analyse(samples, Settings(), lambda _stage, _percent: None).stage_ms for _ in range(3)]
    least = {stage: min(run[stage] for run in runs) for stage in runs[0]}
    print(f"\n### Stages, a song of {seconds:.0f} s (decoding left out)\n\n| stage | ms |\n|---|---|")
    for stage, milliseconds in {**least, "all": sum(least.values())}.items():
        print(f"| {stage} | {milliseconds:.0f} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if (librosa_here := trackers().get("librosa")) is not None:
        librosa_here(next(synthetic(5.0)))  # compile before the clock runs
    compare("Synthetic", synthetic())
    compare("Recorded", recorded(Path(sys.argv[1]) if len(sys.argv) > 1 else INSTALLED))
    stages()
