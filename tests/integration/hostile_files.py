"""Sixty files that somebody might send, by mistake or on purpose, and what must come of each."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.integration.recordings import (
    as_vbri,
    encoded,
    flipped,
    stated_frames,
    stating_frames,
    stating_samples,
    tone,
    vbr,
    wav,
    with_channels,
    with_data_size,
    with_id3,
    with_rate,
    without_xing,
)


@dataclass(frozen=True)
class Hostile:
    """A file, what the probe and the analysis make of it, and what the analysis says.

    `said` is the start of its reason for a refusal, or of the decoder's first warning, or "" for none.
    """

    name: str
    content: bytes
    probed: str
    analysed: str
    said: str


@cache
def _whole(kind: str) -> bytes:
    noise = 0.2 * np.random.default_rng(20).standard_normal((5 * 22_050, 2))
    return encoded(noise.astype(np.float32), 22_050, kind)


def hostile_files() -> Iterator[Hostile]:
    """The files, the same ones each time but for the serial numbers in an Ogg."""
    yield from _torn()
    yield from _riffs()
    yield from _mp3s()
    yield from _flacs()
    yield from _oggs()
    yield from _no_audio()


def _torn() -> Iterator[Hostile]:
    """Each format cut, its bits flipped, its header followed by noise."""
    dice = random.Random(20)
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        file = _whole(kind)
        damaged = {
            "cut in the middle": file[: len(file) // 2],
            "cut within its header": file[: dice.randrange(5, 40)],
            "with flipped bits": flipped(file, dice.randrange(1 << 30), 50, 300),
            "with a flipped header": flipped(file[:100], 7, 6, 16) + file[100:],
            "header before noise": file[:64] + dice.randbytes(200_000),
        }
        for how, content in damaged.items():
            yield Hostile(f"{kind} {how}", content, *_TORN[f"{kind} {how}"])


_TORN = {
    "WAV cut in the middle": (
        "undecodable",
        "accepted",
        "cut off: 50% of what the header promises is missing",
    ),
    "WAV cut within its header": ("undecodable", "undecodable", "the decoder refuses it"),
    "WAV with flipped bits": ("accepted", "accepted", ""),
    "WAV with a flipped header": ("accepted", "accepted", ""),
    "WAV header before noise": (
        "undecodable",
        "accepted",
        "cut off: 55% of what the header promises is missing",
    ),
    "FLAC cut in the middle": ("undecodable", "accepted", "damaged: nothing after 2.2 s could be decoded"),
    "FLAC cut within its header": ("undecodable", "undecodable", "the decoder refuses it"),
    "FLAC with flipped bits": ("undecodable", "undecodable", "damaged from the start"),
    "FLAC with a flipped header": ("undecodable", "undecodable", "damaged from the start"),
    "FLAC header before noise": ("undecodable", "undecodable", "damaged from the start"),
    "OGG cut in the middle": ("accepted", "accepted", "cut off: the last page is not marked as the end"),
    "OGG cut within its header": (
        "undecodable",
        "undecodable",
        "no WAV, MP3, FLAC or OGG file by its content",
    ),
    "OGG with flipped bits": ("undecodable", "undecodable", "the decoder refuses it"),
    "OGG with a flipped header": ("undecodable", "undecodable", "the decoder refuses it"),
    "OGG header before noise": ("undecodable", "undecodable", "the decoder refuses it"),
    "MP3 cut in the middle": (
        "undecodable",
        "accepted",
        "cut off: 51% of what the header promises is missing",
    ),
    "MP3 cut within its header": ("undecodable", "undecodable", "the decoder refuses it"),
    "MP3 with flipped bits": (
        "accepted",
        "accepted",
        "damaged: 261 bytes among the frames are no sound, and were left out",
    ),
    "MP3 with a flipped header": ("accepted", "accepted", ""),
    "MP3 header before noise": ("undecodable", "undecodable", "the decoder refuses it"),
}


def _riffs() -> Iterator[Hostile]:
    whole = _whole("WAV")
    sound = tone(3, 22_050)
    sound[1_000:1_004, 0] = (np.nan, np.inf, -np.inf, 1e30)
    yield Hostile(
        "NaN and infinity",
        encoded(sound, 22_050, "WAV", "FLOAT"),
        "accepted",
        "accepted",
        "4 samples are no numbers or beyond reason: now silence",
    )
    nothing = np.full_like(sound, np.nan)
    yield Hostile(
        "nothing but NaN",
        encoded(nothing, 22_050, "WAV", "FLOAT"),
        "accepted",
        "accepted",
        "66150 samples are no numbers or beyond reason: now silence",
    )
    yield Hostile(
        "65,535 channels",
        with_channels(whole, 65_535),
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "1,000 channels",
        encoded(np.zeros((2_000, 1_000), np.float32), 44_100, "WAV"),
        "undecodable",
        "undecodable",
        "1000 channels: send 1 to 6",
    )
    yield Hostile(
        "no channel", with_channels(whole, 0), "undecodable", "undecodable", "the decoder refuses it"
    )
    yield Hostile("0 Hz", with_rate(whole, 0), "undecodable", "undecodable", "the decoder refuses it")
    yield Hostile(
        "1 Hz", with_rate(whole, 1), "undecodable", "undecodable", "sampled at 1 Hz: send 8 to 192 kHz"
    )
    yield Hostile(
        "4 GHz", with_rate(whole, 0xFFFF_FFFF), "undecodable", "undecodable", "the decoder refuses it"
    )
    yield Hostile(
        "a chunk as long as the world",
        whole[:36] + b"LIST\xff\xff\xff\xff" + whole[36:],
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "a data chunk ten times as long",
        with_data_size(whole, 10 * len(whole)),
        "undecodable",
        "accepted",
        "cut off: 90% of what the header promises is missing",
    )
    yield Hostile(
        "a data chunk of 2 bytes",
        with_data_size(whole, 2),
        "accepted",
        "accepted",
        "the header states 0.0 s, the file holds 5.0 s",
    )
    yield Hostile("a RIFF of 0 bytes", whole[:4] + bytes(4) + whole[8:], "accepted", "accepted", "")
    yield Hostile("blocks of 0 bytes", whole[:32] + bytes(2) + whole[34:], "accepted", "accepted", "")
    yield Hostile(
        "samples of 0 bits",
        whole[:34] + bytes(2) + whole[36:],
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "an unknown coding",
        whole[:20] + b"\x99\x99" + whole[22:],
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )


def _mp3s() -> Iterator[Hostile]:
    whole = _whole("MP3")
    long = vbr(np.zeros((44_100 * 3, 1), np.float32), 44_100)
    rates = [without_xing(encoded(tone(2, rate), rate, "MP3")) for rate in (44_100, 22_050, 48_000)]
    yield Hostile(
        "too few frames stated",
        stating_frames(whole, 10),
        "accepted",
        "accepted",
        "the header states 0.3 s, the file holds 5.1 s",
    )
    yield Hostile(
        "4 billion frames stated",
        stating_frames(whole, 0xFFFF_FFFF),
        "undecodable",
        "accepted",
        "cut off: 100% of what the header promises is missing",
    )
    yield Hostile("no frame stated", stating_frames(whole, 0), "accepted", "accepted", "")
    yield Hostile(
        "VBRI and a lie",
        as_vbri(stating_frames(whole, 2 * stated_frames(whole))),
        "undecodable",
        "accepted",
        "cut off: 50% of what the header promises is missing",
    )
    yield Hostile(
        "its rate changes",
        b"".join(rates),
        "accepted",
        "accepted",
        "",
    )
    yield Hostile(
        "its channels change",
        long + without_xing(encoded(tone(2, 44_100, 2), 44_100, "MP3")),
        "accepted",
        "accepted",
        "the header states 3.0 s, the file holds 5.1 s",
    )
    few = [without_xing(encoded(tone(0.2, rate), rate, "MP3")) for rate in (44_100, 22_050)]
    yield Hostile(
        "600 changes of its rate",
        b"".join(few) * 300,
        "undecodable",
        "undecodable",
        "more than 500 changes of rate or channels",
    )
    yield Hostile(
        "a tag longer than the file", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + whole, "accepted", "accepted", ""
    )
    yield Hostile(
        "sync bytes and nothing else",
        b"\xff\xfb\x90\x44" * 50_000,
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "tags within tags",
        with_id3(with_id3(with_id3(b"", 500), 1_000), 2_000),
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "a megabyte of noise in the middle",
        whole[:40_000] + random.Random(1).randbytes(1_000_000) + whole[40_000:],
        "accepted",
        "accepted",
        "damaged: 1,000,000 bytes among the frames are no sound, and were left out",
    )
    yield Hostile("frames of zeros", _silent_frames(200), "accepted", "accepted", "")


def _silent_frames(count: int) -> bytes:
    return (b"\xff\xfb\x90\x44" + bytes(413)) * count


def _flacs() -> Iterator[Hostile]:
    whole = _whole("FLAC")
    yield Hostile(
        "2^36 samples stated",
        stating_samples(whole, (1 << 36) - 1),
        "too_long",
        "accepted",
        "damaged: nothing after 5.0 s could be decoded",
    )
    yield Hostile(
        "one sample stated",
        stating_samples(whole, 1),
        "accepted",
        "accepted",
        "the header states 0.0 s, the file holds 5.0 s",
    )
    yield Hostile("blocks of 0 samples", whole[:8] + bytes(4) + whole[12:], "undecodable", "accepted", "")
    yield Hostile(
        "a picture larger than the file",
        whole[:4] + b"\6\xff\xff\xff" + whole[4:],
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )


def _oggs() -> Iterator[Hostile]:
    whole = _whole("OGG")
    yield Hostile(
        "pages without end", whole[:58] * 5_000, "undecodable", "undecodable", "the decoder refuses it"
    )
    yield Hostile("a chain", whole + encoded(tone(2, 22_050), 22_050, "OGG"), "accepted", "accepted", "")
    yield Hostile(
        "a chain of 600",
        encoded(tone(0.1, 8_000), 8_000, "OGG") * 600,
        "undecodable",
        "undecodable",
        "a chain of more than 500 streams",
    )
    yield Hostile(
        "Opus behind Vorbis",
        whole + encoded(tone(2, 48_000), 48_000, "OGG", "OPUS"),
        "accepted",
        "accepted",
        "",
    )
    yield Hostile(
        "Opus cut in its header",
        encoded(tone(2, 48_000), 48_000, "OGG", "OPUS")[:60],
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )


def _no_audio() -> Iterator[Hostile]:
    yield Hostile(
        "text",
        b"not a song\n" * 1_000,
        "undecodable",
        "undecodable",
        "no WAV, MP3, FLAC or OGG file by its content",
    )
    yield Hostile(
        "nothing", b"", "undecodable", "undecodable", "no WAV, MP3, FLAC or OGG file by its content"
    )
    yield Hostile(
        "RIFF without end",
        b"RIFF\xff\xff\xff\xffWAVE" + b"LIST\0\0\0\0" * 100_000,
        "undecodable",
        "undecodable",
        "the decoder refuses it",
    )
    yield Hostile(
        "a WAV within a WAV",
        wav(tone(1))[:44] + wav(tone(2)),
        "accepted",
        "accepted",
        "the header states 1.0 s, the file holds 2.0 s",
    )
    yield Hostile(
        "a picture",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + bytes(5_000),
        "undecodable",
        "undecodable",
        "no WAV, MP3, FLAC or OGG file by its content",
    )
