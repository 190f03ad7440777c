"""What the headers of a file lie about, and the pieces that put it right, without decoding anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapters.audio import flac, mp3, ogg, riff
from adapters.audio.pieces import Buffer, Mended

_MENDERS: Final[dict[str, Callable[[Buffer], Mended]]] = {
    "audio/wav": riff.mended,
    "audio/mpeg": mp3.mended,
    "audio/flac": flac.mended,
    "audio/ogg": ogg.mended,
}


def mended(data: Buffer, media_type: str) -> Mended:
    """Look a file of this type, by its first bytes, through. Raises UndecodableAudio."""
    return _MENDERS[media_type](data)
