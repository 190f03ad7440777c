"""Hostile and broken files: each is refused or salvaged, in time, within its memory, and we live."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.audio.analyser import PROBE_LIMIT_S, ChildAnalyser
from analysis.result import Analysed, Settings
from commands.ports import Probed, UndecodableAudio
from tests.integration.recordings import (
    encoded,
    flipped,
    tone,
    wav,
    with_channels,
    with_id3,
    with_rate,
    without_xing,
)

pytestmark = pytest.mark.anyio

CAP_S = 120.0
MOST_BYTES = 500_000_000

KINDS = ("WAV", "FLAC", "OGG", "MP3")


def hostile_files(seed: int) -> Iterator[tuple[str, bytes]]:
    """About thirty files that somebody might send, by mistake or on purpose."""
    dice = random.Random(seed)
    noise = (0.2 * np.random.default_rng(seed).standard_normal((5 * 22_050, 2))).astype(np.float32)
    whole = {kind: encoded(noise, 22_050, kind) for kind in KINDS}
    for kind, file in whole.items():
        yield f"{kind} cut anywhere", file[: dice.randrange(1, len(file))]
        yield f"{kind} cut within its header", file[: dice.randrange(5, 120)]
        yield f"{kind} with flipped bits", flipped(file, dice.randrange(1 << 30), 50)
        yield f"{kind} with a flipped header", flipped(file[:200], dice.randrange(1 << 30), 12) + file[200:]
        yield f"{kind} header before noise", file[:64] + dice.randbytes(200_000)
    yield "WAV of 65,535 channels", with_channels(whole["WAV"], 65_535)
    yield "WAV at 4 GHz", with_rate(whole["WAV"], 0xFFFF_FFFF)
    yield (
        "WAV with a chunk as long as the world",
        whole["WAV"][:36] + b"LIST\xff\xff\xff\xff" + whole["WAV"][36:],
    )
    yield "FLAC that promises 2^36 samples", whole["FLAC"][:21] + b"\xff" * 5 + whole["FLAC"][26:]
    yield (
        "MP3 whose frames fit no length",
        b"".join(
            without_xing(encoded(tone(0.2, rate), rate, "MP3")) for rate in (44_100, 22_050, 48_000, 8_000)
        ),
    )
    yield "MP3 after a tag that is longer than the file", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + whole["MP3"]
    yield "MP3 sync bytes and nothing else", b"\xff\xfb\x90\x44" * 50_000
    yield "Ogg pages without end", whole["OGG"][:58] * 5_000
    yield "tags within tags", with_id3(with_id3(with_id3(b"", 500), 1_000), 2_000)
    yield "text", b"not a song\n" * 1_000


def peak_bytes(pids: set[int]) -> int:
    """The most resident memory any of these processes has had."""
    peak = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peak = max([peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))])
    return peak


def children() -> set[int]:
    return {int(pid) for pid in Path("/proc/self/task").glob("*/children") for pid in pid.read_text().split()}


async def outcome(work: Callable[[], object]) -> str:
    """How a file ended; anything but the outcomes the port names is an error of the test."""
    try:
        result = await work()  # type: ignore[misc]
    except UndecodableAudio as error:
        return error.code
    assert isinstance(result, Probed | Analysed)
    return "accepted"


async def test_hostile_files_are_refused_or_salvaged_and_nothing_crashes_hangs_or_swells(
    tmp_path: Path,
) -> None:
    ends: dict[str, int] = {}
    async with ChildAnalyser(workers=1, probers=1, cap_s=CAP_S) as analyser:
        for name, content in hostile_files(seed=20):
            path = tmp_path / name.replace(" ", "_")
            path.write_bytes(content)
            started = time.monotonic()
            probed = await outcome(lambda path=path: analyser.probe(path))
            analysed = await outcome(lambda path=path: analyser.analyse(path, Settings(), lambda *_: None))
            assert time.monotonic() - started < 2 * PROBE_LIMIT_S, name
            assert peak_bytes(children()) < MOST_BYTES, name
            for end in (f"probe {probed}", f"analysis {analysed}"):
                ends[end] = ends.get(end, 0) + 1
        path.write_bytes(wav(tone(3)))
        assert await outcome(lambda: analyser.probe(path)) == "accepted"
    assert ends["probe undecodable"] >= 15
    assert ends["analysis accepted"] >= 5
    assert ends["analysis accepted"] > ends["probe accepted"]


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
async def test_silence_that_unpacks_to_hours_is_stopped_at_the_cap(kind: str, tmp_path: Path) -> None:
    """Twenty-five minutes of it: 49 MB would be days in FLAC."""
    path = tmp_path / "bomb"
    path.write_bytes(encoded(np.zeros((25 * 60 * 8_000, 1), np.float32), 8_000, kind))
    started = time.monotonic()
    async with ChildAnalyser(workers=1) as analyser:
        assert await outcome(lambda: analyser.probe(path)) == "too_long"
        assert await outcome(lambda: analyser.analyse(path, Settings(), lambda *_: None)) == "too_long"
        assert peak_bytes(children()) < MOST_BYTES
    assert time.monotonic() - started < 30


async def test_an_mp3_that_hides_its_length_is_stopped_in_mid_stream(tmp_path: Path) -> None:
    """Thirty minutes of frames, and no header that says how many."""
    path = tmp_path / "liar"
    minute = without_xing(encoded(np.zeros((60 * 8_000, 1), np.float32), 8_000, "MP3"))
    path.write_bytes(minute * 30)
    async with ChildAnalyser(workers=1) as analyser:
        assert await outcome(lambda: analyser.analyse(path, Settings(), lambda *_: None)) == "too_long"


async def test_many_hostile_uploads_at_once_all_get_their_answer(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(wav(tone(1))[:64] + random.Random(1).randbytes(100_000))
    (tmp_path / "text").write_bytes(b"text")
    async with ChildAnalyser(workers=1, probers=2) as analyser:
        files = [path, tmp_path / "text"] * 10
        ends = await asyncio.gather(*(outcome(lambda file=file: analyser.probe(file)) for file in files))
    assert ends[1::2] == ["undecodable"] * 10
    assert len(set(ends[0::2])) == 1
