"""The decoders of one file: one for each of its pieces, opened when its turn comes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from mmap import ACCESS_READ, mmap
from pathlib import Path

import soundfile as sf

from adapters.audio.mending import mended
from adapters.audio.pieces import Mended, Piece
from adapters.audio.sniff import sniff
from commands.analysis.ports import UndecodableAudio
from commands.ports import HEAD_BYTES


class SequentialFile(sf.SoundFile):
    """A sound file that is only read onwards.

    soundfile seeks after every read to where the file already stands, and in an MP3 that loses the bit
    reservoir: the next 50 ms come out garbled, at every block.
    """

    def seekable(self) -> bool:
        """Say no, so that soundfile never seeks."""
        return False


class Source:
    """An audio file's decoders. Raises UndecodableAudio when the first piece cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.mended: Mended = _mended(path)
        self._open = ExitStack()
        self.first = self._opened(self.mended.pieces[0] if self.mended.pieces else None)

    @property
    def is_whole(self) -> bool:
        """Whether one decoder reads all of it."""
        return self.mended.pieces is None or len(self.mended.pieces) == 1

    def files(self) -> Iterator[tuple[int, SequentialFile]]:
        """Yield each piece's decoder, with the samples of silence before its sound; one is open at a time.

        Raises LibsndfileError for one that cannot be opened.
        """
        pieces = self.mended.pieces or (Piece(()),)
        yield pieces[0].lead, self.first
        for piece in pieces[1:]:
            self._open.close()
            yield piece.lead, self._opened(piece)

    def close(self) -> None:
        """Close what is open."""
        self._open.close()

    def _opened(self, piece: Piece | None) -> SequentialFile:
        # As bytes, which soundfile takes but does not declare: it cannot encode a name that is no UTF-8.
        named = os.fsencode(self._path) if piece is None else self._written(piece)
        return self._open.enter_context(SequentialFile(named))  # pyright: ignore[reportArgumentType]

    def _written(self, piece: Piece) -> int:
        """Write a piece to a file without a name and return its descriptor, which the decoder closes."""
        with (
            self._path.open("rb") as whole,
            mmap(whole.fileno(), 0, access=ACCESS_READ) as data,
            memoryview(data) as view,
            tempfile.TemporaryFile(buffering=0) as file,
        ):
            for part in piece.parts:
                file.write(part if isinstance(part, bytes) else view[slice(*part)])
            file.seek(0)
            return os.dup(file.fileno())


def opened(path: Path) -> Source:
    """Open a file by its content. Raises UndecodableAudio."""
    try:
        return Source(path)
    except sf.LibsndfileError as error:
        raise UndecodableAudio("undecodable", f"the decoder refuses it: {reason(error)}") from error


def reason(error: sf.LibsndfileError) -> str:
    """Return what libsndfile says; of an MP3 without a good frame it says that the file does not exist."""
    said = error.error_string.strip().rstrip(".")
    return "no sound can be found in it" if "does not exist" in said else said or "no reason given"


def _mended(path: Path) -> Mended:
    with path.open("rb") as file:
        media_type = sniff(file.read(HEAD_BYTES))
        if media_type is None:
            raise UndecodableAudio("undecodable", "no WAV, MP3, FLAC or OGG file by its content")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return mended(data, media_type)
