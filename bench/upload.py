"""Upload to ready, over HTTP on the running product: what a producer waits for one song.

`python -m bench.upload` prints the table "Upload to ready" of docs/benchmarks.md.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from pathlib import Path

import soundfile

from analysis.synth import synthesise
from tests.servers.beatledger import Beatledger, ready, upload

SECONDS = 210.0
ROUNDS = 6


def main() -> None:
    """Upload the same song as WAV and as MP3, a few times each, one after another."""
    song = synthesise("rock", 118.0, SECONDS, seed=1)
    mp3 = io.BytesIO()
    soundfile.write(mp3, song.samples, song.sample_rate, format="MP3")
    songs = {"WAV": song.wav(), "MP3": mp3.getvalue()}
    with tempfile.TemporaryDirectory() as folder:
        up = Beatledger(Path(folder) / "data")
        up.start()
        try:
            times = {name: [_once(up, content) for _ in range(ROUNDS)] for name, content in songs.items()}
        finally:
            up.stop()
    print(f"| one song of {SECONDS:g} s | MB | accepted (median ms) | ready (median ms) | x real time |")
    print("|---|---|---|---|---|")
    for name, rounds in times.items():
        # The first of each warms the children up: a server does that once.
        accepted, done = (statistics.median(part) * 1000 for part in zip(*rounds[1:], strict=True))
        size = len(songs[name]) / 1e6
        print(f"| {name} | {size:.1f} | {accepted:.0f} | {done:.0f} | {SECONDS * 1000 / done:.0f} |")


def _once(up: Beatledger, content: bytes) -> tuple[float, float]:
    """Return seconds until the upload was accepted, and until the track was ready."""
    with up.client() as client:
        began = time.perf_counter()
        answer = upload(client, content)
        accepted = time.perf_counter() - began
        ready(client, answer.json()["track_id"])
        return accepted, time.perf_counter() - began


if __name__ == "__main__":
    main()
