"""What the headers of a file lie about, and the pieces that put it right, without decoding anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from adapters.audio import flac, mp3, ogg, riff
from adapters.audio.pieces import Buffer, Mended, Piece, Run
from adapters.audio.tags import between

_MENDERS: Final[dict[str, Callable[[Buffer, Run], Mended]]] = {
    "audio/wav": riff.mended,
    "audio/mpeg": mp3.mended,
    "audio/flac": flac.mended,
    "audio/ogg": ogg.mended,
}


def mended(data: Buffer, media_type: str) -> Mended:
    """Look a file of this type, by its first bytes, through. Raises UndecodableAudio.

    No decoder sees a tag before or behind a WAV, FLAC or Ogg: some would play it, others end at it.
    """
    sound = between(data, 0, len(data))
    found = _MENDERS[media_type](data, sound)
    if found.pieces is None and sound != (0, len(data)) and media_type != "audio/mpeg":
        return dataclasses.replace(found, pieces=(Piece((sound,)),))
    return found
