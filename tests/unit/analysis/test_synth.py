"""The synthesiser is the ruler of the other tests, so it is measured itself."""

import io
import wave

import numpy as np
import pytest

from analysis.synth import synthesise


def test_a_seed_gives_the_same_song_and_another_seed_another_song() -> None:
    first, again, other = (synthesise("rock", 100, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)


def test_beats_of_a_steady_song_are_a_period_apart_and_downbeats_a_bar() -> None:
    song = synthesise("edm", 120, 20)
    assert np.diff(song.beats_ms) == pytest.approx(500.0, abs=0.01)
    assert np.diff(song.downbeats_ms) == pytest.approx(2000.0, abs=0.01)
    assert np.diff(synthesise("waltz", 120, 20).downbeats_ms) == pytest.approx(1500.0, abs=0.01)


def test_a_ramp_and_a_step_end_at_the_tempo_asked_for() -> None:
    for change in ("ramp", "step"):
        song = synthesise("edm", 100, 30, bpm_end=150, change=change, sample_rate=8_000)
        assert 60_000 / np.diff(song.beats_ms)[[0, -1]] == pytest.approx([100, 150], rel=0.03)


def test_something_begins_at_each_beat_and_nothing_before_the_first() -> None:
    song = synthesise("edm", 120, 10, sample_rate=44_100)
    starts = np.array(song.beats_ms[:-1]) * 44.1
    loudness = [float(np.abs(song.samples[int(s) : int(s) + 400]).max()) for s in starts]
    assert min(loudness) > 0.3
    assert float(np.abs(song.samples[: int(starts[0]) - 1]).max()) < 0.02


def test_the_wav_file_holds_the_same_sound() -> None:
    song = synthesise("jazz", 140, 3, sample_rate=22_050)
    with wave.open(io.BytesIO(song.wav())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
        read = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert read / 32767 == pytest.approx(song.samples, abs=1 / 32767)
