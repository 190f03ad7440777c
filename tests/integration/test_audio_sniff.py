"""What an upload is, told by its first bytes alone."""

from __future__ import annotations

import struct

import pytest

from adapters.audio.sniff import sniff
from commands.ports import HEAD_BYTES
from tests.integration.recordings import encoded, largest_frames, tone, with_id3, without_xing

TONE = tone(0.5)


@pytest.mark.parametrize(
    ("kind", "subtype", "endian", "media_type"),
    [
        ("WAV", None, None, "audio/wav"),
        ("WAV", "FLOAT", None, "audio/wav"),
        ("WAV", None, "BIG", "audio/wav"),
        ("WAVEX", None, None, "audio/wav"),
        ("RF64", None, None, "audio/wav"),
        ("MP3", None, None, "audio/mpeg"),
        ("FLAC", None, None, "audio/flac"),
        ("OGG", "VORBIS", None, "audio/ogg"),
    ],
)
def test_every_format_we_take_is_known_by_its_first_bytes(
    kind: str, subtype: str | None, endian: str | None, media_type: str
) -> None:
    assert sniff(encoded(TONE, 44_100, kind, subtype, endian)[:HEAD_BYTES]) == media_type


def test_opus_in_ogg_is_audio() -> None:
    assert sniff(encoded(tone(0.5, 48_000), 48_000, "OGG", "OPUS")[:HEAD_BYTES]) == "audio/ogg"


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_mp3_without_a_tag_is_known_at_every_rate_of_mpeg_1_2_and_2_5(rate: int) -> None:
    assert sniff(encoded(tone(0.5, rate), rate, "MP3")[:HEAD_BYTES]) == "audio/mpeg"


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100])
def test_an_mp3_torn_in_mid_frame_is_known_however_long_its_frames_are(rate: int) -> None:
    torn = without_xing(largest_frames(tone(0.5, rate), rate))[1:]
    assert sniff(torn[:HEAD_BYTES]) == "audio/mpeg"


@pytest.mark.parametrize("size", [0, 100, 2_000_000])
def test_mp3_is_known_behind_an_id3_tag_of_any_size(size: int) -> None:
    assert sniff(with_id3(encoded(TONE, 44_100, "MP3"), size)[:HEAD_BYTES]) == "audio/mpeg"


def test_flac_behind_an_id3_tag_stays_flac() -> None:
    assert sniff(with_id3(encoded(TONE, 44_100, "FLAC"), 100)[:HEAD_BYTES]) == "audio/flac"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"\xff\xfb",
        b"hello, world\n" * 100,
        b"\xff\xfeh\0e\0l\0l\0o\0",
        b"RIFF" + struct.pack("<I", 100) + b"AVI LIST",
        b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8 ",
        b"OggS\0\2" + bytes(22) + b"\x80theora",
        b"\0\0\0\x20ftypM4A \0\0\0\0",
        b"\xff\xf1\x50\x80" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\3\4" + bytes(100),
        b"ID3",
        b"ID3\4\0\0\0\0\0\0" + b"hello, world",
        b"%PDF-1.7",
        encoded(TONE, 44_100, "AIFF"),
    ],
)
def test_what_is_no_audio_we_take_is_nothing(head: bytes) -> None:
    assert sniff(head[:HEAD_BYTES]) is None
