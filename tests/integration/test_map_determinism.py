"""One file, one map: the same hashes from every worker, process and number of threads."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from adapters.audio.analyser import ChildAnalyser
from analysis.genesis_map import render
from analysis.map_document import GlobalMetrics
from analysis.result import Analysed, AnalysisSettings
from analysis.synth import synthesise
from tests.integration.recordings import encoded

PROGRAM = """
import sys
from pathlib import Path
from adapters.audio.analysing import analyse
from analysis.result import AnalysisSettings
from tests.integration.test_map_determinism import blas_threads, hashes

before, threads = blas_threads(), set()
progress = lambda _stage, _percent: threads.add(blas_threads())
analysed = analyse(Path(sys.argv[1]), AnalysisSettings(), 1200.0, progress)
print(before, *threads)
print(*hashes(analysed))
"""


def hashes(analysed: Analysed) -> tuple[str, str]:
    """The mapSha256 with the figures of the trackers' own agreement, and the hash of the waveform."""
    agreed = analysed.agreement
    assert agreed is not None
    metrics = GlobalMetrics(analysed.duration_ms, analysed.bpm, agreed.f_measure, agreed.cemgil)
    made = render(
        analysed,
        track_id="t",
        version=1,
        filename="song.mp3",
        timestamp="2026-01-02T03:04:05Z",
        audio_sha256="ab" * 32,
        metrics=metrics,
    )
    return made.map_sha256, sha256(analysed.peaks).hexdigest()


def blas_threads() -> int:
    """How many threads a product of matrices takes now."""
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


def in_a_process(path: Path, threads: int) -> tuple[str, ...]:
    """The hashes of an analysis in a process with so many BLAS threads, which it must not use."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env=os.environ | limits,
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    before_and_during, found = run.stdout.splitlines()
    assert before_and_during == f"{threads} 1"
    return tuple(found.split())


@pytest.mark.anyio
async def test_the_same_file_has_the_same_hashes_everywhere(tmp_path: Path) -> None:
    """An MP3 at 44.1 kHz, so that decoding and resampling are in it; two workers at once, two processes.

    Two BLAS threads move the last digits of the resampled sound: most maps hide it, some would not.
    """
    song = synthesise("rock", 118.0, 25.0, seed=4)
    path = tmp_path / "song"
    path.write_bytes(encoded(song.samples[:, None], song.sample_rate, "MP3"))
    unheard = lambda _stage, _percent: None  # noqa: E731
    async with ChildAnalyser(workers=2) as analyser:
        both = await asyncio.gather(*(analyser.analyse(path, AnalysisSettings(), unheard) for _ in range(2)))
    found = {hashes(analysed) for analysed in both}
    for threads in (1, 2):
        found.add(tuple(await asyncio.to_thread(in_a_process, path, threads)))
    assert len(found) == 1
    map_sha256, waveform_sha256 = found.pop()
    assert len(map_sha256) == len(waveform_sha256) == 64
