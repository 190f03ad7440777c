"""What a four-minute MP3 costs from file to full map, as deployed: in children, decoding included.

`python -m bench.throughput` prints the tables of docs/benchmarks-analysis.md. CPU time is the children's own
(/proc/PID/schedstat), so that other work on the machine disturbs it less than the clock; Linux only.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

from adapters.audio.analyser import ChildAnalyser
from analysis.result import Analysed, AnalysisSettings
from analysis.synth import synthesise
from bench import peers

SECONDS = 240.0
RATE = 44_100
RUNS = 5
TRACKS = 8


def write_mp3(path: Path, seconds: float) -> None:
    """Write a stereo song at 44.1 kHz, the sides a little different, in libsndfile's default MP3."""
    left = synthesise("rock", 118, seconds, sample_rate=RATE).samples
    stereo = np.stack([left, 0.8 * left + 0.2 * np.roll(left, 400)], axis=1)
    with soundfile.SoundFile(path, "w", RATE, 2, format="MP3") as file:
        for start in range(0, len(stereo), RATE):
            file.write(stereo[start : start + RATE])


def children() -> list[int]:
    """Return our child processes."""
    return [int(p) for task in Path("/proc/self/task").glob("*/children") for p in task.read_text().split()]


def cpu_ms() -> float:
    """Return the CPU time all children have taken."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in children()) / 1e6


def peak_mb() -> float:
    """Return the most memory a child has had resident."""
    return max(_status_kb(pid, "VmHWM") for pid in children()) / 1000.0


def _status_kb(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


class StageClock:
    """Charges the children's CPU time between two reports of progress to the stage that was running."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._stage, self._since = "start", cpu_ms()

    def __call__(self, stage: str, _percent: float) -> None:
        now = cpu_ms()
        self.spent[self._stage] += now - self._since
        self._stage, self._since = stage, now


async def started(song: Path) -> None:
    """Print what it takes to start a child and to have its imports done."""
    began = time.perf_counter()
    async with ChildAnalyser(workers=1) as analyser:
        up = time.perf_counter() - began
        bare = peak_mb()
        await analyser.analyse(song, AnalysisSettings(), lambda *_: None)
        first = cpu_ms()
        await analyser.analyse(song, AnalysisSettings(), lambda *_: None)
        again = cpu_ms() - first
        print("\n### A child's start\n\n| what | figure |\n|---|---|")
        print(f"| until it (and the prober) takes jobs | {up:.2f} s by the clock |")
        print(f"| imports, with the first job | {(first - again) / 1000:.2f} s CPU |")
        print(f"| memory before a job | {bare:.0f} MB |")


async def stages(song: Path) -> tuple[float, float]:
    """Print the CPU time of each stage, the least of some runs; return the whole and decoding in s."""
    async with ChildAnalyser(workers=1) as analyser:
        await analyser.analyse(song, AnalysisSettings(), lambda *_: None)
        runs: list[dict[str, float]] = []
        for _ in range(RUNS):
            clock = StageClock()
            await analyser.analyse(song, AnalysisSettings(), clock)
            clock("", 100.0)
            runs.append(clock.spent)
        print(
            f"\n### Stages of {SECONDS:.0f} s of MP3, least of {RUNS} runs\n\n| stage | ms CPU |\n|---|---|"
        )
        names = {"start": "job sent", "done": "waveform peaks, result sent"}
        for stage in runs[0]:
            print(f"| {names.get(stage, stage)} | {min(run[stage] for run in runs):.0f} |")
        whole = min(sum(run.values()) for run in runs)
        print(f"| all, the best run | {whole:.0f} |\n\nPeak memory of the child: {peak_mb():.0f} MB.")
        return whole / 1000.0, min(run["decoding"] for run in runs) / 1000.0


async def tracks_per_minute(song: Path, workers: int) -> None:
    """Print how many tracks a minute so many children analyse."""
    async with ChildAnalyser(workers=workers) as analyser:

        async def analyse() -> Analysed:
            return await analyser.analyse(song, AnalysisSettings(), lambda *_: None)

        await asyncio.gather(*(analyse() for _ in range(workers)))
        began, cpu = time.perf_counter(), cpu_ms()
        await asyncio.gather(*(analyse() for _ in range(TRACKS)))
        wall, cpu = time.perf_counter() - began, (cpu_ms() - cpu) / 1000.0
    whole_cores = 60.0 * min(workers, os.cpu_count() or 1) * TRACKS / cpu
    print(f"| {workers} | {60 * TRACKS / wall:.0f} | {cpu / TRACKS:.2f} | {whole_cores:.0f} |")


def against_librosa(whole_s: float, decoding_s: float) -> None:
    """Print the ratio to librosa's tracker alone, with our decoding and without."""
    with peers.started("librosa") as librosa:
        if librosa is None:
            return
        samples = synthesise("rock", 118, SECONDS, sample_rate=librosa.peer.rate).samples
        least = min(librosa.beats(samples)[1] for _ in range(RUNS))
    print(f"\nlibrosa {librosa.version}, its tracker alone: {least:.2f} s CPU. Ours, with the full map:")
    print(f"{whole_s - decoding_s:.2f} s ({(whole_s - decoding_s) / least:.2f} times that),", end=" ")
    print(f"decoding included {whole_s:.2f} s ({whole_s / least:.2f} times).")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        song, short = Path(folder) / "song.mp3", Path(folder) / "short.mp3"
        write_mp3(song, SECONDS)
        write_mp3(short, 5.0)
        asyncio.run(started(short))
        whole, decoding = asyncio.run(stages(song))
        print(f"× real time on one core: {SECONDS / whole:.0f}.\n\n### Tracks per minute\n")
        print("| children | by the clock | s CPU a track | with cores of their own |\n|---|---|---|---|")
        for workers in (1, 2):
            asyncio.run(tracks_per_minute(song, workers))
        against_librosa(whole, decoding)


if __name__ == "__main__":
    main()
