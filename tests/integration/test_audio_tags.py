"""A tag, or anything else, before or behind the sound of a file is neither sound nor damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.audio.decode import decode
from adapters.audio.probing import probe
from tests.integration.recordings import (
    ID3V1,
    LYRICS,
    ape_tag,
    encoded,
    tone,
    vbr,
    wav,
    with_id3,
)

SECONDS = 20
FILES = {
    "WAV": wav(tone(SECONDS)),
    "FLAC": encoded(tone(SECONDS), 44_100, "FLAC"),
    "OGG": encoded(tone(SECONDS), 44_100, "OGG"),
    "MP3": vbr(tone(SECONDS), 44_100),
}
TAGS = {
    "ID3v1": ID3V1,
    "ID3v1+": b"TAG+" + bytes(223) + ID3V1,
    "ID3v2": with_id3(b"", 300_000),
    "APEv2": ape_tag(300_000),
    "APEv2 without header": ape_tag(20_000, header=False),
    "Lyrics3": LYRICS,
    "several": ape_tag(9_001) + LYRICS + ID3V1,
}


def judged(path: Path, content: bytes) -> tuple[float, float, tuple[str, ...]]:
    path.write_bytes(content)
    decoded = decode(path, lambda _: None, 60.0)
    return probe(path, 60.0).duration_ms, decoded.duration_ms, decoded.warnings


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_behind_a_file_is_no_sound_and_no_damage(kind: str, tag: str, tmp_path: Path) -> None:
    probed, decoded, warnings = judged(tmp_path / "upload", FILES[kind] + TAGS[tag])
    assert warnings == ()
    assert (probed, decoded) == pytest.approx((20_000, 20_000), abs=0.1)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("tag", ["ID3v2", "APEv2"])
def test_a_tag_before_a_file_is_no_sound_and_no_damage(kind: str, tag: str, tmp_path: Path) -> None:
    small = {"ID3v2": with_id3(b"", 1_000), "APEv2": ape_tag(1_000)}[tag]
    probed, decoded, warnings = judged(tmp_path / "upload", small + FILES[kind])
    assert warnings == ()
    assert (probed, decoded) == pytest.approx((20_000, 20_000), abs=0.1)


@pytest.mark.parametrize("size", [100, 6_500, 300_000])
def test_an_mp3_is_found_behind_an_ape_tag_of_any_size(size: int, tmp_path: Path) -> None:
    probed, decoded, warnings = judged(tmp_path / "upload", ape_tag(size) + FILES["MP3"])
    assert warnings == ()
    assert (probed, decoded) == pytest.approx((20_000, 20_000), abs=0.1)


@pytest.mark.parametrize("size", [1, 20_000, 400_000])
def test_bytes_of_any_kind_behind_a_flac_cost_none_of_its_sound(size: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).bytes(size)
    probed, decoded, warnings = judged(tmp_path / "upload", FILES["FLAC"] + noise)
    assert warnings == ()
    assert (probed, decoded) == pytest.approx((20_000, 20_000), abs=0.1)


def test_a_little_behind_a_wav_that_its_riff_leaves_out_is_no_sound(tmp_path: Path) -> None:
    probed, decoded, warnings = judged(tmp_path / "upload", FILES["WAV"] + b"\x7f" * 1_000)
    assert (probed, decoded, warnings) == (20_000, 20_000, ())


@pytest.mark.parametrize("codec", ["GSM610", "G721_32", "NMS_ADPCM_16", "IMA_ADPCM", "MS_ADPCM", "ULAW"])
def test_every_codec_of_a_wav_is_taken_whether_or_not_it_can_seek(codec: str, tmp_path: Path) -> None:
    file = encoded(tone(SECONDS, 8_000), 8_000, "WAV", codec)
    probed, decoded, warnings = judged(tmp_path / "upload", file)
    assert warnings == ()
    assert (probed, decoded) == pytest.approx((20_000, 20_000), abs=65)


def test_channels_out_of_phase_are_heard_and_named(tmp_path: Path) -> None:
    left = tone(SECONDS)
    path = tmp_path / "upload"
    path.write_bytes(wav(np.hstack([left, -left])))
    decoded = decode(path, lambda _: None, 60.0)
    path.write_bytes(wav(left))
    assert np.array_equal(decoded.samples, decode(path, lambda _: None, 60.0).samples)
    assert decoded.warnings == (
        "the channels cancel each other (out of phase): one channel is used in place of their mix",
    )
