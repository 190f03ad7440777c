"""Sound comes out of every format we take as mono at 22,050 Hz, with the length it truly has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from adapters.audio.decode import Decoded, decode
from adapters.audio.probing import probe
from adapters.audio.reader import AudioReader
from adapters.audio.resample import RATE
from commands.analysis.ports import UndecodableAudio
from tests.integration.recordings import (
    encoded,
    tone,
    wav,
    with_channels,
    with_data_size,
    with_id3,
    with_rate,
)

CAP_S = 60.0

Decode = Callable[[bytes], Decoded]


@pytest.fixture
def decoded(tmp_path: Path) -> Decode:
    def decode_bytes(content: bytes) -> Decoded:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return decode(path, lambda _: None, CAP_S)

    return decode_bytes


def refusal(content: bytes, path: Path, cap_s: float = CAP_S) -> UndecodableAudio:
    path.write_bytes(content)
    with pytest.raises(UndecodableAudio) as refused:
        decode(path, lambda _: None, cap_s)
    return refused.value


@pytest.mark.parametrize(
    ("kind", "subtype", "media_type"),
    [
        ("WAV", "PCM_U8", "audio/wav"),
        ("WAV", "PCM_16", "audio/wav"),
        ("WAV", "PCM_24", "audio/wav"),
        ("WAV", "PCM_32", "audio/wav"),
        ("WAV", "FLOAT", "audio/wav"),
        ("WAV", "DOUBLE", "audio/wav"),
        ("WAVEX", "PCM_16", "audio/wav"),
        ("WAVEX", "FLOAT", "audio/wav"),
        ("RF64", "PCM_16", "audio/wav"),
        ("FLAC", "PCM_16", "audio/flac"),
        ("FLAC", "PCM_24", "audio/flac"),
        ("OGG", "VORBIS", "audio/ogg"),
        ("MP3", None, "audio/mpeg"),
    ],
)
def test_every_format_gives_the_sound_and_its_exact_length(
    kind: str, subtype: str | None, media_type: str, decoded: Decode
) -> None:
    result = decoded(encoded(tone(2, channels=2), 44_100, kind, subtype))
    assert (result.media_type, result.sample_rate, result.channels) == (media_type, 44_100, 2)
    assert result.duration_ms == pytest.approx(2000, abs=1000 / 44_100)
    assert len(result.samples) == 2 * RATE
    assert result.samples.dtype == np.float32
    expected = tone(2, RATE)[:, 0]
    assert np.corrcoef(result.samples[500:-500], expected[500:-500])[0, 1] > 0.99
    assert result.warnings == ()


def test_an_mp3_read_in_blocks_is_the_mp3_read_at_once(tmp_path: Path) -> None:
    """soundfile's own block reads garble 50 ms of an MP3 at the start of every block."""
    path = tmp_path / "upload"
    path.write_bytes(encoded(tone(4), 44_100, "MP3"))
    with AudioReader(path, CAP_S) as reader:
        in_blocks = np.concatenate(list(reader.blocks()))
    at_once = np.asarray(sf.read(path, dtype="float32")[0])
    np.testing.assert_array_equal(in_blocks, at_once)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 48_000, 96_000, 192_000])
def test_every_rate_keeps_its_length(rate: int, decoded: Decode) -> None:
    result = decoded(wav(tone(1.5, rate), rate))
    assert result.sample_rate == rate
    assert result.duration_ms == pytest.approx(1500, abs=1000 / rate)
    assert abs(len(result.samples) - 1.5 * RATE) <= 1


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_opus_is_taken(rate: int, decoded: Decode) -> None:
    result = decoded(encoded(tone(2, rate), rate, "OGG", "OPUS"))
    assert result.media_type == "audio/ogg"
    assert result.duration_ms == pytest.approx(2000, abs=1)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAVEX", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
)
def test_six_channels_are_taken(kind: str, subtype: str, decoded: Decode) -> None:
    result = decoded(encoded(tone(1, 48_000, 6), 48_000, kind, subtype))
    assert result.channels == 6
    assert result.duration_ms == pytest.approx(1000, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 192_000])
@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_the_rates_at_the_ends_are_taken_compressed_too(kind: str, rate: int, decoded: Decode) -> None:
    result = decoded(encoded(tone(1, rate), rate, kind))
    assert (result.sample_rate, result.duration_ms) == (rate, pytest.approx(1000, abs=0.2))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(channels: int, decoded: Decode) -> None:
    sound = tone(1, RATE, channels) * np.linspace(0, 1, channels, dtype=np.float32)
    result = decoded(wav(sound, RATE))
    np.testing.assert_allclose(result.samples, sound.mean(axis=1), atol=1e-4)


def test_an_id3_tag_is_no_sound(decoded: Decode) -> None:
    mp3 = encoded(tone(2), 44_100, "MP3")
    assert decoded(with_id3(mp3, 300_000)).duration_ms == decoded(mp3).duration_ms


def test_the_progress_reaches_100_and_never_falls(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(wav(tone(10)))
    heard: list[float] = []
    decode(path, heard.append, CAP_S)
    assert heard == sorted(set(heard))
    assert heard[-1] == 100


def test_samples_that_are_no_numbers_become_silence_with_a_warning(decoded: Decode) -> None:
    sound = tone(1, RATE)
    sound[[10, 20, 30, 40], 0] = (np.nan, np.inf, -np.inf, 1e30)
    result = decoded(encoded(sound, RATE, "WAV", "FLOAT"))
    assert np.all(result.samples[[10, 20, 30, 40]] == 0)
    assert np.abs(result.samples).max() < 0.51
    assert result.warnings == ("4 samples are no numbers or beyond reason: now silence",)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
def test_a_size_left_open_by_a_pipe_is_no_promise(size: int, decoded: Decode, tmp_path: Path) -> None:
    result = decoded(with_data_size(wav(tone(2)), size))
    assert result.duration_ms == pytest.approx(2000, abs=0.1)
    assert result.warnings == ()
    assert probe(tmp_path / "upload", CAP_S).duration_ms == pytest.approx(2000, abs=0.1)


def test_a_size_that_is_too_big_gives_what_is_there_and_says_so(decoded: Decode) -> None:
    result = decoded(with_data_size(wav(tone(2)), 4 * 2 * 44_100))
    assert result.duration_ms == pytest.approx(2000, abs=0.1)
    assert result.warnings == ("cut off: 50% of what the header promises is missing",)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
def test_a_file_that_was_cut_off_is_salvaged_with_a_warning(kind: str, decoded: Decode) -> None:
    noise = 0.1 * np.random.default_rng(2).standard_normal((44_100 * 6, 1)).astype(np.float32)
    whole = encoded(noise, 44_100, kind)
    result = decoded(whole[: len(whole) // 2])
    assert 2000 < result.duration_ms < 3500
    assert len(result.samples) == pytest.approx(result.duration_ms * RATE / 1000, abs=1)
    assert len(result.warnings) == 1
    assert "cut off" in result.warnings[0] or "damaged" in result.warnings[0]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3"])
def test_the_probe_refuses_a_file_that_was_cut_off(kind: str, tmp_path: Path) -> None:
    """Its sender is still there and can send the whole of it."""
    whole = encoded(tone(40), 44_100, kind)
    path = tmp_path / "upload"
    path.write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(UndecodableAudio, match="cut off") as refused:
        probe(path, CAP_S)
    assert refused.value.code == "undecodable"


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
def test_the_probe_takes_the_whole_file_with_its_length(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(encoded(tone(40), 44_100, kind))
    assert probe(path, CAP_S).duration_ms == pytest.approx(40_000, abs=0.1)


def test_a_flac_is_used_up_to_the_damage(decoded: Decode) -> None:
    flac = bytearray(encoded(tone(10), 44_100, "FLAC"))
    middle = len(flac) // 2
    flac[middle : middle + 200] = bytes(200)
    result = decoded(bytes(flac))
    assert 3500 < result.duration_ms <= 5500
    assert result.warnings[0].startswith("damaged: nothing after ")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "by its content"),
        (b"just text, in a file named .mp3\n" * 100, "by its content"),
        (encoded(tone(1), 44_100, "AIFF"), "by its content"),
        (wav(tone(1))[:44], "no sound"),
        (with_rate(wav(tone(1)), 0), "refuses"),
        (with_rate(wav(tone(1)), 0xFFFF_FFFF), "refuses"),
        (with_rate(wav(tone(1)), 7_999), "7999 Hz"),
        (with_rate(wav(tone(1)), 192_001), "192001 Hz"),
        (with_channels(wav(tone(1)), 0), "refuses"),
        (wav(tone(1, channels=7)), "7 channels"),
        (encoded(tone(1), 44_100, "OGG")[:100], "refuses"),
        (encoded(tone(1), 44_100, "FLAC")[:100], "damaged from the start"),
        (encoded(tone(1), 44_100, "MP3")[:100], "refuses"),
        (with_id3(b"", 100_000), "refuses"),
    ],
    # Not by content: an OGG has a random serial number, and every test process must find the same tests.
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "content",
)
def test_what_cannot_be_decoded_is_refused_with_a_reason(content: bytes, detail: str, tmp_path: Path) -> None:
    error = refusal(content, tmp_path / "upload.mp3")
    assert error.code == "undecodable"
    assert detail in error.detail


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_beyond_the_cap_is_refused_in_mid_stream(kind: str, tmp_path: Path) -> None:
    error = refusal(encoded(tone(6, RATE), RATE, kind), tmp_path / "upload", cap_s=5)
    assert error.code == "too_long"


def test_sound_of_just_the_cap_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(wav(tone(5, RATE), RATE))
    assert decode(path, lambda _: None, 5).duration_ms == 5000
    assert probe(path, 5).duration_ms == 5000


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_probe_refuses_what_is_too_long(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(encoded(tone(6, RATE), RATE, kind))
    with pytest.raises(UndecodableAudio) as refused:
        probe(path, 5)
    assert refused.value.code == "too_long"
