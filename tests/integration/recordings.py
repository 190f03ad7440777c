"""Audio files as the tests need them: sound of every format, and headers that lie."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

Sound = NDArray[np.float32]


def tone(seconds: float, rate: int = 44_100, channels: int = 1, hertz: float = 440.0) -> Sound:
    """A sine of amplitude 0.5, the same in every channel: frames × channels."""
    times = np.arange(round(seconds * rate)) / rate
    wave = (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    return np.repeat(wave[:, None], channels, axis=1)


def clicks(seconds: float, bpm: float, rate: int = 44_100) -> Sound:
    """A drum-like noise burst on every beat, the first at 0.5 s."""
    sound = np.zeros(round(seconds * rate), np.float32)
    noise = np.random.default_rng(7).standard_normal(rate // 10) * np.exp(
        -np.arange(rate // 10) / (rate / 60)
    )
    for beat in np.arange(0.5, seconds - 0.1, 60 / bpm):
        at = round(beat * rate)
        sound[at : at + len(noise)] += 0.3 * noise[: len(sound) - at].astype(np.float32)
    return sound[:, None]


def encoded(
    sound: Sound, rate: int, kind: str, subtype: str | None = None, endian: str | None = None
) -> bytes:
    """The sound as a file of this libsndfile format (WAV, FLAC, OGG, MP3, RF64, WAVEX, AIFF)."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", rate, sound.shape[1], subtype, endian, kind) as writer:
        # In pieces: libsndfile's Vorbis encoder overflows the stack on long writes.
        for start in range(0, len(sound), 4096):
            writer.write(sound[start : start + 4096])
    return file.getvalue()


def wav(sound: Sound, rate: int = 44_100) -> bytes:
    return encoded(sound, rate, "WAV")


def with_data_size(wav_file: bytes, size: int) -> bytes:
    """The same WAV whose data chunk claims another size."""
    at = wav_file.index(b"data") + 4
    return wav_file[:at] + struct.pack("<I", size) + wav_file[at + 4 :]


def with_riff_size(wav_file: bytes) -> bytes:
    """The same WAV whose RIFF is as long as the file."""
    return wav_file[:4] + struct.pack("<I", len(wav_file) - 8) + wav_file[8:]


def with_rate(wav_file: bytes, rate: int) -> bytes:
    return wav_file[:24] + struct.pack("<I", rate) + wav_file[28:]


def with_channels(wav_file: bytes, channels: int) -> bytes:
    return wav_file[:22] + struct.pack("<H", channels) + wav_file[24:]


def flipped(file: bytes, seed: int, count: int, after: int = 0) -> bytes:
    """The same file with `count` bits flipped at random, none before the byte `after`."""
    random = np.random.default_rng(seed)
    damaged = bytearray(file)
    for at in random.integers(after, len(damaged), count):
        damaged[at] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def vbr(sound: Sound, rate: int) -> bytes:
    """The sound as an MP3 of variable bitrate, with its Xing frame."""
    file = io.BytesIO()
    with sf.SoundFile(
        file, "w", rate, sound.shape[1], format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    ) as writer:
        writer.write(sound)
    return file.getvalue()


def largest_frames(sound: Sound, rate: int) -> bytes:
    """The sound as an MP3 of the highest constant bitrate."""
    file = io.BytesIO()
    with sf.SoundFile(
        file, "w", rate, sound.shape[1], format="MP3", bitrate_mode="CONSTANT", compression_level=0.0
    ) as writer:
        writer.write(sound)
    return file.getvalue()


def without_xing(mp3: bytes) -> bytes:
    """The same MP3 without the leading frame that states its length."""
    return mp3[mp3.index(mp3[:2], _tag_at(mp3)) :]


def stated_frames(mp3: bytes) -> int:
    """How many frames the leading frame states."""
    return struct.unpack_from(">I", mp3, _tag_at(mp3) + 8)[0]


def stating_frames(mp3: bytes, frames: int) -> bytes:
    """The same MP3 whose leading frame states another number of frames."""
    at = _tag_at(mp3) + 8
    return mp3[:at] + struct.pack(">I", frames) + mp3[at + 4 :]


def as_vbri(mp3: bytes) -> bytes:
    """The same MP3 whose leading frame is Fraunhofer's: VBRI, 36 bytes in."""
    frames, length = stated_frames(mp3), mp3.index(mp3[:2], _tag_at(mp3))
    frame = mp3[:4] + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 75, len(mp3), frames)
    return frame.ljust(length, b"\0") + mp3[length:]


def _tag_at(mp3: bytes) -> int:
    return max(mp3[:256].find(b"Xing"), mp3[:256].find(b"Info"))


def stating_samples(flac: bytes, samples: int) -> bytes:
    """The same FLAC whose STREAMINFO states another length; 0 leaves it open."""
    return (
        flac[:21]
        + bytes((flac[21] & 0xF0 | samples >> 32,))
        + struct.pack(">I", samples & 0xFFFFFFFF)
        + flac[26:]
    )


def with_id3(file: bytes, size: int) -> bytes:
    """The file behind an ID3v2 tag whose body has `size` bytes."""
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + bytes(size) + file


def ape_tag(size: int, header: bool = True) -> bytes:
    """An APEv2 tag with one item of `size` bytes, such as a cover."""
    item = struct.pack("<II", size, 2) + b"Cover Art (Front)\0" + b"\xff\xfb\x90\x64" * (size // 4)
    item += bytes(size % 4)

    def frame(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2_000, len(item) + 32, 1, flags) + bytes(8)

    has_header = 0x8000_0000 if header else 0
    return (frame(has_header | 0x2000_0000) if header else b"") + item + frame(has_header)


ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"la " * 400 + b"001221" + b"LYRICS200"
