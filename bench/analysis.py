"""Beat trackers side by side on songs with known beats: ours, plain aubio.tempo, and those of `bench.peers`.

`python -m bench.analysis [FOLDER]` prints the table "Beat tracking" of docs/benchmarks-analysis.md; FOLDER
holds the recorded songs where they are not installed. F-measure ±70 ms, Cemgil σ 40 ms, CMLt and AMLt
(continuity) by mir_eval, no five-second trim; × real time counts CPU time, decoding left out for all.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import aubio_trackers
from analysis.cues import cues_of
from analysis.descriptors import describe
from analysis.metrics import f_measure
from analysis.result import Preset
from analysis.sound import heard
from analysis.spectrum import SAMPLE_RATE, Floats
from analysis.tracker import to_ms, track
from bench import peers
from bench.annotated_songs import INSTALLED, AnnotatedSong, recorded, synthetic

Found = tuple[NDArray[np.float64], float]
"""Beats in seconds, and the CPU time spent on them."""

Tracker = Callable[[AnnotatedSong], Found]

OURS = "ours, auto"


def _ours(samples: Floats, preset: Preset) -> NDArray[np.float64]:
    return to_ms(track(cues_of(describe(heard(samples)), slice(0, None)), preset))


def _timed(tracker: Callable[[AnnotatedSong], NDArray[np.float64]], song: AnnotatedSong) -> Found:
    began = time.process_time()
    beats_ms = tracker(song)
    return beats_ms / 1000.0, time.process_time() - began


@contextmanager
def trackers() -> Generator[dict[str, Tracker]]:
    """Yield all that can run here, by name."""
    found: dict[str, Tracker] = {
        "ours, preset": partial(_timed, lambda song: _ours(song.samples, song.preset)),
        OURS: partial(_timed, lambda song: _ours(song.samples, "auto")),
        "aubio.tempo": partial(_timed, lambda song: aubio_trackers.tempo_beats(heard(song.samples))),
    }
    with peers.all_started() as others:
        for other in others:
            narrow = other.peer.rate == SAMPLE_RATE
            found[f"{other.peer.name} {other.version}"] = lambda song, other=other, narrow=narrow: (
                other.beats(song.samples if narrow else song.wide)
            )
        yield found


def scores(truth: NDArray[np.float64], found: NDArray[np.float64]) -> list[float]:
    """Return F, Cemgil, CMLt and AMLt."""
    import mir_eval.beat as beat

    _, cmlt, _, amlt = beat.continuity(truth, found)
    return [beat.f_measure(truth, found), beat.cemgil(truth, found)[0], cmlt, amlt]


def compare(title: str, songs: Sequence[AnnotatedSong], by_name: dict[str, Tracker]) -> None:
    """Print each tracker's mean scores and speed, and the F-measure of ours song by song."""
    if not songs:
        print(f"\n### {title}: no songs here")
        return
    seconds = sum(len(song.samples) for song in songs) / SAMPLE_RATE
    print(f"\n### {title} ({len(songs)} songs, {seconds / 60:.0f} min)\n")
    print("| tracker | F | Cemgil | CMLt | AMLt | × real time |\n|---|---|---|---|---|---|")
    for name, tracker in by_name.items():
        found = [tracker(song) for song in songs]
        rows = [scores(song.beats_s, beats) for song, (beats, _) in zip(songs, found, strict=True)]
        figures = " | ".join(f"{figure:.3f}" for figure in np.mean(rows, axis=0))
        speed = seconds / sum(spent for _, spent in found)
        print(f"| {name} | {figures} | {speed:.0f} |", flush=True)
    print(f"\nF of ours (auto): {', '.join(f'{s.name} {_f(s, by_name[OURS]):.3f}' for s in songs)}")


def _f(song: AnnotatedSong, tracker: Tracker) -> float:
    return f_measure((song.beats_s * 1000).tolist(), (tracker(song)[0] * 1000).tolist())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with trackers() as by_name:
        compare("Synthetic", list(synthetic()), by_name)
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else INSTALLED
        compare("Recorded: muldjord", list(recorded(folder)), by_name)
