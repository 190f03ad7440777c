"""The Analyser port: probe and analysis in children of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from adapters.audio import analyser as analyser_module
from adapters.audio.analyser import ChildAnalyser
from adapters.audio.analysing import VERSION
from analysis.result import AnalysisSettings
from analysis.synth import synthesise
from commands.analysis.ports import Analyser, AnalysisCrashed, Probed, UndecodableAudio
from domain.errors import Busy
from tests.integration.recordings import clicks, encoded, tone, wav, with_data_size
from tests.servers.audio_children import audio_children

pytestmark = pytest.mark.anyio


@pytest.fixture
async def analyser() -> AsyncIterator[Analyser]:
    async with ChildAnalyser(workers=1) as running:
        yield running


def unheard(stage: str, percent: float) -> None:
    """Progress that nobody follows."""


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def test_a_probe_says_what_the_file_is(analyser: Analyser, tmp_path: Path) -> None:
    path = written(tmp_path / "upload", encoded(tone(2, 48_000, 2), 48_000, "MP3"))
    probed = await analyser.probe(path)
    assert probed == Probed("audio/mpeg", pytest.approx(2000, abs=0.1), 48_000, 2)


async def test_an_analysis_finds_the_beats_of_a_file_and_its_length(
    analyser: Analyser, tmp_path: Path
) -> None:
    path = written(tmp_path / "upload", encoded(clicks(20, 120), 44_100, "MP3"))
    heard: list[tuple[str, float]] = []
    analysed = await analyser.analyse(path, AnalysisSettings(), lambda *progress: heard.append(progress))
    assert analysed.duration_ms == pytest.approx(20_000, abs=0.1)
    assert analysed.bpm == pytest.approx(120, abs=0.5)
    inner = np.array(analysed.beats_ms[2:-2])
    assert np.abs(inner - np.round((inner - 500) / 500) * 500 - 500).max() < 30
    assert analysed.stage_ms["decoding"] > 0
    assert heard[0][0] == "decoding"
    assert len({stage for stage, _ in heard}) > 2
    percents = [percent for _, percent in heard]
    assert percents == sorted(percents)
    assert percents[-1] == 100


async def test_the_beats_of_a_song_are_the_same_in_every_format(analyser: Analyser, tmp_path: Path) -> None:
    """What coding adds before the sound is taken off again, so that only what it changed in it is left."""
    song = synthesise("rock", 118.0, 20.0, seed=4, sample_rate=48_000)
    sound = song.samples[:, None]
    found: dict[str, tuple[float, ...]] = {}
    for kind, subtype in (
        ("WAV", "FLOAT"),
        ("FLAC", None),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ):
        path = written(tmp_path / "upload", encoded(sound, song.sample_rate, kind, subtype))
        found[subtype or kind] = (await analyser.analyse(path, AnalysisSettings(), unheard)).beats_ms
    exact = found.pop("FLOAT")
    assert len(exact) >= 35
    for kind, beats in found.items():
        assert len(beats) == len(exact), kind
        assert np.abs(np.array(beats) - np.array(exact)).max() < 4, kind


async def test_the_engine_names_what_decodes(analyser: Analyser, tmp_path: Path) -> None:
    path = written(tmp_path / "upload", wav(tone(1)))
    engine = (await analyser.analyse(path, AnalysisSettings(), unheard)).engine
    assert engine.startswith("beatledger/")
    assert engine.endswith(f"decoding/{VERSION} libsndfile/{sf.__libsndfile_version__}")


async def test_the_same_file_gives_the_same_result_in_another_child(
    analyser: Analyser, tmp_path: Path
) -> None:
    path = written(tmp_path / "upload", wav(clicks(15, 140)))
    first = await analyser.analyse(path, AnalysisSettings(), unheard)
    async with ChildAnalyser(workers=1) as other:
        second = await other.analyse(path, AnalysisSettings(), unheard)
    assert (first.beats_ms, first.layers, first.agreement) == (
        second.beats_ms,
        second.layers,
        second.agreement,
    )


async def test_what_the_decoder_salvaged_stands_among_the_warnings(
    analyser: Analyser, tmp_path: Path
) -> None:
    whole = wav(clicks(10, 120))
    path = written(tmp_path / "upload", with_data_size(whole, 2 * len(whole)))
    analysed = await analyser.analyse(path, AnalysisSettings(), unheard)
    assert analysed.warnings[0].startswith("cut off: 50%")


async def test_undecodable_audio_keeps_its_code_and_reason_on_the_way_out_of_the_child(
    analyser: Analyser, tmp_path: Path
) -> None:
    path = written(tmp_path / "song.mp3", b"no song")
    with pytest.raises(UndecodableAudio, match="by its content") as probed:
        await analyser.probe(path)
    with pytest.raises(UndecodableAudio, match="by its content") as analysed:
        await analyser.analyse(path, AnalysisSettings(), unheard)
    assert probed.value.code == analysed.value.code == "undecodable"


async def test_silence_is_analysed_too(analyser: Analyser, tmp_path: Path) -> None:
    path = written(tmp_path / "upload", wav(np.zeros((44_100 * 3, 1), np.float32)))
    analysed = await analyser.analyse(path, AnalysisSettings(), unheard)
    assert analysed.beats_ms == ()
    assert analysed.bpm is None


async def test_a_file_that_is_gone_fails_the_attempt_and_is_not_called_undecodable(
    analyser: Analyser, tmp_path: Path
) -> None:
    with pytest.raises(AnalysisCrashed) as crashed:
        await analyser.analyse(tmp_path / "gone", AnalysisSettings(), unheard)
    assert crashed.value.code == "crashed"
    with pytest.raises(FileNotFoundError):
        await analyser.probe(tmp_path / "gone")


async def test_a_probe_does_not_wait_for_an_analysis(analyser: Analyser, tmp_path: Path) -> None:
    long = written(tmp_path / "long", wav(np.tile(clicks(30, 128), (20, 1))))
    short = written(tmp_path / "short", wav(tone(1)))
    started = asyncio.Event()
    job = asyncio.create_task(analyser.analyse(long, AnalysisSettings(), lambda *_: started.set()))
    await started.wait()
    await analyser.probe(short)
    assert not job.done()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_worker_killed_in_mid_job_fails_the_attempt_and_the_next_one_works(
    analyser: Analyser, tmp_path: Path
) -> None:
    path = written(tmp_path / "long", wav(np.tile(clicks(30, 128), (10, 1))))
    started = asyncio.Event()
    job = asyncio.create_task(analyser.analyse(path, AnalysisSettings(), lambda *_: started.set()))
    await started.wait()
    for pid in audio_children():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(AnalysisCrashed, match="SIGKILL") as crashed:
        await job
    assert crashed.value.code == "crashed"
    short = written(tmp_path / "short", wav(clicks(10, 120)))
    assert (await analyser.analyse(short, AnalysisSettings(), unheard)).beats_ms


async def test_a_decoder_that_hangs_fails_that_probe_alone(
    analyser: Analyser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe that nobody writes to: opening it waits for ever."""
    monkeypatch.setattr(analyser_module, "PROBE_LIMIT_S", 1.0)
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()
    with pytest.raises(UndecodableAudio, match="not done within 1 s") as refused:
        await analyser.probe(tmp_path / "pipe")
    assert refused.value.code == "undecodable"
    assert time.monotonic() - started < 10
    path = written(tmp_path / "upload", wav(tone(1)))
    monkeypatch.setattr(analyser_module, "PROBE_LIMIT_S", 10.0)
    assert (await analyser.probe(path)).duration_ms == 1000


async def test_an_analysis_that_hangs_is_timed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChildAnalyser(workers=1) as analyser:
        monkeypatch.setattr(analyser, "_limit_s", 1.0)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(AnalysisCrashed) as crashed:
            await analyser.analyse(tmp_path / "pipe", AnalysisSettings(), unheard)
        assert crashed.value.code == "timed_out"


async def test_an_honest_upload_beside_twenty_that_hang_is_accepted_within_15_s(tmp_path: Path):
    """A full queue refuses at once, so the honest client asks again, and never waits behind all of them."""
    pipe = tmp_path / "hangs.wav"
    os.mkfifo(pipe)  # opening it for reading never ends
    honest = tmp_path / "honest.wav"
    honest.write_bytes(synthesise("rock", 100.0, 5.0, seed=3).wav())
    async with ChildAnalyser(workers=1, probers=2) as analyser:
        hanging = [asyncio.create_task(analyser.probe(pipe)) for _ in range(20)]
        await asyncio.sleep(0)
        refused = 0
        async with asyncio.timeout(15):
            while True:
                try:
                    assert (await analyser.probe(honest)).duration_ms == pytest.approx(5000, abs=1)
                    break
                except Busy:
                    refused += 1
                    await asyncio.sleep(Busy.retry_after_s)
        outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert refused
    assert [type(outcome) for outcome in outcomes].count(Busy) == 16
