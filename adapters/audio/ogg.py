"""The logical streams of an Ogg file (RFC 3533): libsndfile decodes the first of a chain and stops."""

from __future__ import annotations

from adapters.audio.pieces import Buffer, Mended, Piece, Run
from commands.analysis.ports import UndecodableAudio

_FIRST_PAGE = b"OggS\0\2"
_PAGE = b"OggS\0"
_HEADER_BYTES = 27
_LAST = 4
_MOST_LINKS = 500
NO_END = "cut off: the last page is not marked as the end"


def mended(data: Buffer, sound: Run) -> Mended:
    """Return a piece for each stream of a chain. Raises UndecodableAudio when they are beyond reason."""
    links = _links(data, sound)
    if len(links) > _MOST_LINKS:
        raise UndecodableAudio("undecodable", f"a chain of more than {_MOST_LINKS} streams")
    last = data.rfind(_PAGE, *sound)
    ends = last >= 0 and len(data) > last + 5 and data[last + 5] & _LAST
    bounds = zip(links, [*links[1:], sound[1]], strict=True)
    return Mended(
        tuple(Piece((bound,)) for bound in bounds) if len(links) > 1 else None,
        warnings=() if ends else (NO_END,),
    )


def _links(data: Buffer, sound: Run) -> list[int]:
    """Return where streams start; first pages beside one another are of streams that run side by side."""
    links: list[int] = []
    at, beside = data.find(_FIRST_PAGE, *sound), -1
    while at >= 0 and len(links) <= _MOST_LINKS:
        if at != beside:
            links.append(at)
        segments = data[at + _HEADER_BYTES - 1 : at + _HEADER_BYTES]
        count = segments[0] if segments else 0
        table = at + _HEADER_BYTES
        beside = table + count + sum(data[table : table + count])
        at = data.find(_FIRST_PAGE, at + 1, sound[1])
    return links
