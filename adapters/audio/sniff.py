"""What an upload is by its first bytes; its name and its Content-Type prove nothing.

Own magic numbers instead of puremagic: that knows MPEG-1 frames only (an MP3 of 22.05 kHz without an ID3
tag is unknown to it) and calls every Ogg file, video included, the same.
"""

from __future__ import annotations

from adapters.audio.mp3_frames import in_a_row
from adapters.audio.tags import leading

_RIFF_IDS = (b"RIFF", b"RIFX", b"RF64")
_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")


def sniff(head: bytes) -> str | None:
    """Return the media type these first bytes claim, None when it is no audio we take.

    A claim only: decoding proves it. Only WAV (RIFF, RIFX, RF64), MP3, FLAC and audio in Ogg are taken; an
    MP3 that was torn out of a stream may begin in mid-frame, which all of HEAD_BYTES are needed to tell.
    """
    if head[:3] == b"ID3" or head[:8] == b"APETAGEX":
        return _sniff_tagged(head)
    if head[:4] in _RIFF_IDS and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[:4] == b"fLaC":
        return "audio/flac"
    if head[:4] == b"OggS":
        return "audio/ogg" if any(codec in head[:256] for codec in _OGG_CODECS) else None
    return "audio/mpeg" if _is_layer_three(head) or in_a_row(head) else None


def _sniff_tagged(head: bytes) -> str | None:
    """Judge what follows a tag; one longer than `head` (a cover picture) is taken for an MP3's."""
    if not (length := leading(head[:32])):
        return None
    body = head[length:].lstrip(b"\0")
    return "audio/mpeg" if not body else sniff(body)


def _is_layer_three(head: bytes) -> bool:
    """Say whether an MPEG audio frame header of layer III stands here (ISO 11172-3, 2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate != 15 and rate != 3
