"""A file is as long as the sound in it, whatever its header says, and the sound stays in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapters.audio.decode import Decoded, decode
from adapters.audio.probing import probe
from adapters.audio.resample import RATE
from commands.analysis.ports import Probed, UndecodableAudio
from tests.integration.recordings import (
    Sound,
    as_vbri,
    clicks,
    encoded,
    flipped,
    stated_frames,
    stating_frames,
    stating_samples,
    tone,
    vbr,
    wav,
    with_data_size,
    with_id3,
    with_riff_size,
    without_xing,
)

CAP_S = 60.0
FRAME_MS = 1152 / 44.1

Heard = Callable[[bytes], tuple[Probed, Decoded]]


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    """Probe and decode; both must find the same length."""

    def hear(content: bytes) -> tuple[Probed, Decoded]:
        path = tmp_path / "upload"
        path.write_bytes(content)
        probed, decoded = probe(path, CAP_S), decode(path, lambda _: None, CAP_S)
        assert probed.duration_ms == pytest.approx(decoded.duration_ms, abs=0.1)
        return probed, decoded

    return hear


def loud_then_quiet(seconds: float) -> Sound:
    """Frames of very different sizes: what is guessed from the first of them is wrong."""
    half = round(seconds * 44_100 / 2)
    noise = 0.2 * np.random.default_rng(5).standard_normal((half, 1))
    return np.concatenate([noise, np.zeros((half, 1))]).astype(np.float32)


def lag_ms(samples: np.ndarray, original: np.ndarray) -> float:
    """How much later the one is than the other, by the peak of their correlation."""
    size = 1 << (len(samples) + len(original)).bit_length()
    product = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(original, size))
    correlation = np.fft.irfft(product, size)
    at = int(np.argmax(correlation))
    return 1000 * (at if at < size // 2 else at - size) / RATE


MP3 = vbr(loud_then_quiet(6), 44_100)
FRAMES = stated_frames(MP3)


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", None, 44_100),
        ("FLAC", None, 48_000),
        ("OGG", "VORBIS", 44_100),
        ("OGG", "OPUS", 48_000),
        *(("MP3", None, rate) for rate in (44_100, 48_000, 32_000, 22_050, 16_000, 8_000)),
    ],
)
def test_sound_stands_at_the_same_place_in_every_format(
    kind: str, subtype: str | None, rate: int, heard: Heard
) -> None:
    """An MP3 with a header loses its encoder's and its decoder's delay: 25 ms at 44.1 kHz."""
    original = clicks(4, 120, rate)
    _, result = heard(encoded(original, rate, kind, subtype))
    _, exact = heard(wav(original, rate))
    assert abs(lag_ms(result.samples, exact.samples)) < 1
    assert result.duration_ms == pytest.approx(4000, abs=0.2)


def test_an_mp3_without_a_header_starts_where_players_start_it(heard: Heard) -> None:
    """Nothing says how much the encoder put before the sound, so nothing is cut off."""
    original = clicks(4, 120)
    mp3 = encoded(original, 44_100, "MP3")
    _, result = heard(without_xing(mp3))
    _, exact = heard(wav(original))
    assert lag_ms(result.samples, exact.samples) == pytest.approx(1105 / 44.1, abs=0.5)
    assert result.duration_ms == pytest.approx(stated_frames(mp3) * FRAME_MS, abs=0.1)
    assert result.warnings == ()


@pytest.mark.parametrize("name", ["constant", "variable"])
def test_an_mp3_is_as_long_as_what_was_encoded(name: str, heard: Heard) -> None:
    sound = loud_then_quiet(6)
    _, result = heard(vbr(sound, 44_100) if name == "variable" else encoded(sound, 44_100, "MP3"))
    assert result.duration_ms == pytest.approx(6000, abs=0.1)
    assert result.warnings == ()


def test_an_mp3_whose_header_names_too_few_frames_is_read_to_its_end(heard: Heard) -> None:
    _, result = heard(stating_frames(MP3, FRAMES // 3))
    assert result.duration_ms == pytest.approx(6000, abs=2 * FRAME_MS)
    assert result.warnings == ("the header states 2.0 s, the file holds 6.0 s",)


def test_an_mp3_whose_header_names_too_many_frames_is_called_cut_off(heard: Heard, tmp_path: Path) -> None:
    lie = stating_frames(MP3, 3 * FRAMES)
    with pytest.raises(UndecodableAudio, match="cut off"):
        heard(lie)
    result = decode(tmp_path / "upload", lambda _: None, CAP_S)
    assert result.duration_ms == pytest.approx(6000, abs=2 * FRAME_MS)
    assert result.warnings == ("cut off: 67% of what the header promises is missing",)


@pytest.mark.parametrize("order", [1, -1])
def test_a_vbr_mp3_without_a_header_has_its_frames_counted(order: int, heard: Heard) -> None:
    """libsndfile guesses from the first frames: 1.4 s where they are loud."""
    _, result = heard(without_xing(vbr(loud_then_quiet(6)[::order].copy(), 44_100)))
    assert result.duration_ms == pytest.approx(FRAMES * FRAME_MS, abs=0.1)


def test_fraunhofers_header_is_no_sound(heard: Heard) -> None:
    _, result = heard(as_vbri(MP3))
    assert result.duration_ms == pytest.approx(FRAMES * FRAME_MS, abs=0.1)
    assert result.warnings == ()


@pytest.mark.parametrize("between", [b"", with_id3(b"", 200_000), b"TAG" + bytes(125)])
def test_joined_mp3s_are_one_sound(between: bytes, heard: Heard) -> None:
    _, result = heard(MP3 + between + MP3)
    assert result.duration_ms == pytest.approx(12_000, abs=4 * FRAME_MS)
    assert result.warnings == ("the header states 6.0 s, the file holds 12.1 s",)


@pytest.mark.parametrize(
    "tags",
    [b"TAG" + bytes(125), b"APETAGEX" + bytes(3_000) + b"TAG" + bytes(125), b"LYRICSBEGIN" + b"la" * 2_000],
)
def test_tags_around_an_mp3_are_no_sound(tags: bytes, heard: Heard) -> None:
    _, result = heard(with_id3(MP3, 300_000) + tags)
    assert result.duration_ms == pytest.approx(6000, abs=0.1)
    assert result.warnings == ()


def test_an_mp3_behind_a_tag_that_states_a_wrong_size_is_found(heard: Heard) -> None:
    _, result = heard(with_id3(bytes(5_000) + MP3, 20_000))
    assert result.duration_ms == pytest.approx(6000, abs=0.1)


def test_an_mp3_torn_out_of_a_stream_starts_at_its_first_whole_frame(heard: Heard) -> None:
    _, result = heard(without_xing(MP3)[100:])
    assert result.duration_ms == pytest.approx(FRAMES * FRAME_MS, abs=1.1 * FRAME_MS)


def test_an_mp3_with_garbage_in_its_middle_goes_on_behind_it(heard: Heard) -> None:
    garbage = np.random.default_rng(2).bytes(5_000)
    middle = len(MP3) // 4
    _, result = heard(MP3[:middle] + garbage + MP3[middle:])
    assert result.duration_ms == pytest.approx(6000, abs=2 * FRAME_MS)
    assert result.warnings == ("damaged: 5,000 bytes among the frames are no sound, and were left out",)


def test_an_mp3_with_flipped_bits_keeps_all_but_the_frames_they_hit(heard: Heard, tmp_path: Path) -> None:
    mp3 = encoded(tone(20, channels=2), 44_100, "MP3")
    path = tmp_path / "flipped"
    path.write_bytes(flipped(mp3, seed=3, count=400, after=5_000))
    result = decode(path, lambda _: None, CAP_S)
    assert 19_500 < result.duration_ms < 20_100


def test_an_mp3_that_changes_to_stereo_is_read_to_its_end(heard: Heard) -> None:
    """The second file's own header is neither sound nor damage."""
    _, result = heard(MP3 + encoded(tone(4, channels=2), 44_100, "MP3"))
    assert result.duration_ms == pytest.approx(10_000, abs=3 * FRAME_MS)
    assert result.warnings == ("the header states 6.0 s, the file holds 10.1 s",)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_an_mp3_that_changes_its_rate_is_one_sound_all_the_same(rate: int, heard: Heard) -> None:
    _, result = heard(b"".join(encoded(clicks(4, 120, at), at, "MP3") for at in (44_100, rate, 44_100)))
    assert result.sample_rate == 44_100
    assert result.duration_ms == pytest.approx(12_000, abs=3 * FRAME_MS)
    assert len(result.samples) == pytest.approx(result.duration_ms * RATE / 1000, abs=2)
    _, exact = heard(wav(np.concatenate([clicks(4, 120, RATE)] * 3), RATE))
    for start in (0, 4 * RATE, 8 * RATE):
        part = slice(start + 200, start + 4 * RATE - 200)
        assert abs(lag_ms(result.samples[part], exact.samples[part])) < 2 * FRAME_MS
    assert [warning[:29] for warning in result.warnings] == ["the header states 4.0 s, the "]


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 44_100), ("OPUS", 48_000)])
def test_chained_ogg_streams_are_one_sound(subtype: str, rate: int, heard: Heard) -> None:
    """libsndfile stops at the end of the first."""
    first, second = (encoded(tone(s, rate, c), rate, "OGG", subtype) for s, c in ((4, 1), (3, 2)))
    _, result = heard(first + second)
    assert result.duration_ms == pytest.approx(7000, abs=0.2)
    assert result.warnings == ()


def test_chained_ogg_streams_of_other_rates_are_one_sound(heard: Heard) -> None:
    streams = [(44_100, "VORBIS"), (48_000, "OPUS"), (8_000, "VORBIS"), (192_000, "VORBIS")]
    _, result = heard(b"".join(encoded(tone(2, rate), rate, "OGG", subtype) for rate, subtype in streams))
    assert result.duration_ms == pytest.approx(8000, abs=0.2)
    expected = np.concatenate([tone(2, RATE)[:, 0]] * 4)
    for start in range(0, 8 * RATE, 2 * RATE):
        part = slice(start + 2000, start + 2 * RATE - 2000)
        assert np.corrcoef(result.samples[part], expected[part])[0, 1] > 0.99
    assert result.warnings == ()


def test_a_chained_stream_we_do_not_take_ends_the_sound(heard: Heard) -> None:
    _, result = heard(encoded(tone(2), 44_100, "OGG") + encoded(tone(2, 4_000), 4_000, "OGG"))
    assert result.duration_ms == pytest.approx(2000, abs=0.2)
    assert result.warnings == ("damaged: nothing after 2.0 s could be decoded",)


def test_an_ogg_that_was_cut_off_says_so(heard: Heard) -> None:
    whole = encoded(loud_then_quiet(8), 44_100, "OGG")
    _, result = heard(whole[: len(whole) // 2])
    assert 1000 < result.duration_ms < 5000
    assert result.warnings == ("cut off: the last page is not marked as the end",)


@pytest.mark.parametrize("stated", [1, 44_100])
def test_a_flac_that_states_too_few_samples_is_read_to_its_end(stated: int, heard: Heard) -> None:
    _, result = heard(stating_samples(encoded(loud_then_quiet(4), 44_100, "FLAC"), stated))
    assert result.duration_ms == pytest.approx(4000, abs=0.1)
    assert result.warnings == (f"the header states {stated / 44_100:.1f} s, the file holds 4.0 s",)


def test_a_flac_that_leaves_its_length_open_is_no_lie(heard: Heard) -> None:
    _, result = heard(stating_samples(encoded(loud_then_quiet(4), 44_100, "FLAC"), 0))
    assert result.duration_ms == pytest.approx(4000, abs=0.1)
    assert result.warnings == ()


def test_a_flac_behind_an_id3_tag_is_taken(heard: Heard) -> None:
    _, result = heard(with_id3(encoded(tone(2), 44_100, "FLAC"), 2_000))
    assert result.media_type == "audio/flac"
    assert result.duration_ms == pytest.approx(2000, abs=0.1)


@pytest.mark.parametrize("size", [0, 2, 44_101])
def test_a_wav_that_states_too_little_is_read_to_its_end(size: int, heard: Heard) -> None:
    """A size of 0 is no lie: programs that write to a pipe leave it."""
    _, result = heard(with_data_size(wav(tone(2)), size))
    assert result.duration_ms == pytest.approx(2000, abs=0.1)
    assert [warning[:17] for warning in result.warnings] == ["the header states"] * (size > 0)


def test_what_a_wav_states_is_read_off_its_format_chunk_wherever_that_stands(heard: Heard) -> None:
    whole = wav(tone(2))
    behind_junk = whole[:12] + b"JUNK\x1c\0\0\0" + bytes(28) + whole[12:]
    _, result = heard(with_data_size(behind_junk, 44_100))
    assert result.warnings == ("the header states 0.5 s, the file holds 2.0 s",)


def test_a_wav_without_sound_makes_none_of_the_chunks_behind_it(heard: Heard) -> None:
    with pytest.raises(UndecodableAudio, match="no sound"):
        heard(wav(tone(2)[:0]) + b"LIST\xe8\3\0\0" + bytes(1_000))


@pytest.mark.parametrize("name", [b"cue ", b"id3 ", b"_PMX"])
def test_a_chunk_s_name_need_not_be_letters(name: bytes, heard: Heard) -> None:
    sound = wav(tone(2))
    _, result = heard(with_riff_size(sound + name + b"\xe8\3\0\0" + bytes(1_000)))
    assert (result.duration_ms, result.warnings) == (2000, ())


@pytest.mark.parametrize("odd", [0, 1])
def test_chunks_behind_the_sound_of_a_wav_are_no_sound(odd: int, heard: Heard) -> None:
    """Their place is even; some writers leave the padding out."""
    sound = encoded(tone(2, 22_050), 22_050, "WAV", "PCM_U8")
    at = sound.index(b"data") + 8
    for padding in (b"\0" * odd, b""):
        _, result = heard(
            with_data_size(sound[: at + 40_000 + odd] + padding, 40_000 + odd) + b"LIST\4\0\0\0abcd"
        )
        assert result.duration_ms == pytest.approx((40_000 + odd) / 22.05, abs=0.1)
        assert result.warnings == ()
