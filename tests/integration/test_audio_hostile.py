"""Hostile and broken files: each is refused or salvaged, in time, within its memory, and we live."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapters.audio.analyser import PROBE_LIMIT_S, ChildAnalyser
from analysis.result import Analysed, AnalysisSettings
from commands.analysis.ports import (
    Probed,
    UndecodableAudio,
)
from domain.errors import Busy
from tests.integration.hostile_files import hostile_files
from tests.integration.recordings import encoded, tone, wav, without_xing
from tests.servers.audio_children import audio_children, memory_bytes

pytestmark = pytest.mark.anyio

CAP_S = 120.0
MOST_BYTES = 500_000_000

MUSICAL = "no metrics"
"""How warnings end that speak of the music: no damage."""


async def outcome(work: Callable[[], object]) -> tuple[str, str]:
    """How a file ended and what is said of it; any other end than the port names is an error of the test."""
    try:
        result = await work()  # type: ignore[misc]
    except UndecodableAudio as error:
        return error.code, error.detail
    assert isinstance(result, Probed | Analysed)
    said = [] if isinstance(result, Probed) else [w for w in result.warnings if not w.endswith(MUSICAL)]
    return "accepted", (said or [""])[0]


async def test_hostile_files_are_refused_or_salvaged_and_nothing_crashes_hangs_or_swells(
    tmp_path: Path,
) -> None:
    path = tmp_path / "upload"
    wrong: dict[str, object] = {}
    async with ChildAnalyser(workers=1, probers=1, cap_s=CAP_S) as analyser:
        async with asyncio.timeout(10):  # a child has its name once the new program has replaced the fork
            while len(before := audio_children()) < 2:
                await asyncio.sleep(0.01)
        files = list(hostile_files())
        for file in files:
            path.write_bytes(file.content)
            started = time.monotonic()
            probed, _ = await outcome(lambda: analyser.probe(path))
            analysed, said = await outcome(
                lambda: analyser.analyse(path, AnalysisSettings(), lambda *_: None)
            )
            assert time.monotonic() - started < 2 * PROBE_LIMIT_S, file.name
            if (probed, analysed) != (file.probed, file.analysed) or not said.startswith(file.said):
                wrong[file.name] = (probed, analysed, said)
            elif not file.said and said:
                wrong[file.name] = said
        assert audio_children() == before  # none died
        assert 0 < memory_bytes(before, "VmHWM") < MOST_BYTES
    assert wrong == {}
    assert len({file.name for file in files}) == len(files) >= 60


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
async def test_silence_that_unpacks_to_hours_is_stopped_at_the_cap(kind: str, tmp_path: Path) -> None:
    """Twenty-five minutes of it: 49 MB would be days in FLAC."""
    path = tmp_path / "bomb"
    path.write_bytes(encoded(np.zeros((25 * 60 * 8_000, 1), np.float32), 8_000, kind))
    started = time.monotonic()
    async with ChildAnalyser(workers=1) as analyser:
        assert (await outcome(lambda: analyser.probe(path)))[0] == "too_long"
        assert (await outcome(lambda: analyser.analyse(path, AnalysisSettings(), lambda *_: None)))[
            0
        ] == "too_long"
        assert memory_bytes(audio_children(), "VmHWM") < MOST_BYTES
    assert time.monotonic() - started < 120


async def test_an_mp3_that_hides_its_length_is_stopped_in_mid_stream(tmp_path: Path) -> None:
    """Thirty minutes of frames, and no header that says how many."""
    path = tmp_path / "liar"
    minute = without_xing(encoded(np.zeros((60 * 8_000, 1), np.float32), 8_000, "MP3"))
    path.write_bytes(minute * 30)
    async with ChildAnalyser(workers=1) as analyser:
        assert (await outcome(lambda: analyser.analyse(path, AnalysisSettings(), lambda *_: None)))[
            0
        ] == "too_long"


async def test_many_hostile_uploads_at_once_all_get_their_answer(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(wav(tone(1))[:64] + random.Random(1).randbytes(100_000))
    (tmp_path / "text").write_bytes(b"text")
    async with ChildAnalyser(workers=1, probers=2) as analyser:

        async def probe(file: Path) -> Probed:
            while True:
                try:
                    return await analyser.probe(file)
                except Busy:
                    await asyncio.sleep(0.05)  # as clients do after a 503

        files = [path, tmp_path / "text"] * 10
        ends = await asyncio.gather(*(outcome(lambda file=file: probe(file)) for file in files))
    assert [end for end, _ in ends[1::2]] == ["undecodable"] * 10
    assert len(set(ends[0::2])) == 1
