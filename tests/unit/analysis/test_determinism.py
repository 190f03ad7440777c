"""One recording, one hash: whatever the process and its number of threads."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from analysis.genesis_map import render
from analysis.map_document import GlobalMetrics
from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.synth import synthesise

song = synthesise("rock", 118, 30, seed=4, sample_rate=22_050)
found = analyse(song.samples, AnalysisSettings(), lambda _stage, _percent: None)
agreed = found.agreement
metrics = GlobalMetrics(found.duration_ms, found.bpm, agreed.f_measure, agreed.cemgil)
about = {"track_id": "t", "version": 1, "filename": "f", "timestamp": "t", "audio_sha256": "ab" * 32}
made = render(found, **about, metrics=metrics)
print(made.map_sha256)
"""


def hash_with(threads: int) -> str:
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, env=os.environ | limits, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_and_another_number_of_threads_give_the_same_hash(threads: int) -> None:
    reference = hash_with(1)
    assert len(reference) == 64
    assert hash_with(threads) == reference
