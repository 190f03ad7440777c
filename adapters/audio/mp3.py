"""An MP3 as streams of frames, each behind a header that tells their true number."""

from __future__ import annotations

from itertools import pairwise

from adapters.audio.mp3_frames import Mp3Stream, streams
from adapters.audio.mp3_header import honest
from adapters.audio.pieces import TOLERATED_LOSS, Buffer, Mended, Piece, Run, understated
from adapters.audio.tags import STARTS, between, id3_length
from commands.analysis.ports import UndecodableAudio

_DECODER_DELAY = 529
"""Samples that libmpg123 cuts off whatever has a header, and does not off what has none."""

_MOST_STREAMS = 500


def mended(data: Buffer, sound: Run) -> Mended:
    """Return a piece for each stream; the file as it is when no frame tells its length (free format).

    Raises UndecodableAudio when streams are beyond reason.
    """
    found = streams(data, sound[0])
    if not found:
        return Mended(exact=False)
    if len(found) > _MOST_STREAMS:
        raise UndecodableAudio("undecodable", f"more than {_MOST_STREAMS} changes of rate or channels")
    seconds = sum(stream.seconds(stream.frames) for stream in found)
    promised = found[0].header.promised if found[0].header else None
    promised_s = found[0].seconds(promised) if promised else None
    return Mended(
        None if _is_honest(data, found) else tuple(_piece(data, stream) for stream in found if stream.frames),
        None if promised_s is None else max(0.0, 1 - seconds / promised_s),
        (*(understated(promised_s, seconds) if promised_s else ()), *_left_out(data, found, sound[1])),
    )


def _is_honest(data: Buffer, found: list[Mp3Stream]) -> bool:
    """Say whether a decoder can be given the file as it is: a tag, a true header, frames, and an end."""
    stream = found[0]
    if len(found) > 1 or len(stream.runs) != 1 or stream.header is None or stream.header.is_vbri:
        return False
    starts_at = stream.runs[0][0] - len(stream.header.frame)
    return stream.header.promised == stream.frames and starts_at == id3_length(data[:10])


def _piece(data: Buffer, stream: Mp3Stream) -> Piece:
    version, _, mono = stream.kind
    if stream.header is not None and stream.header.promised is not None and not stream.header.is_vbri:
        return Piece((honest(stream.header, stream.frames, version, mono), *stream.runs))
    first = stream.runs[0][0]
    return Piece((stream.own_header(data[first : first + 4]), *stream.runs), _DECODER_DELAY)


def _left_out(data: Buffer, found: list[Mp3Stream], stop: int) -> tuple[str, ...]:
    """Return what is to be said of bytes that are neither frames nor tags: they shift what comes after.

    At the end a little of it is nobody's loss.
    """
    heard = [stretch for stream in found for stretch in _stretches(stream)]
    gaps = [(before[1], after[0]) for before, after in pairwise(heard)]
    end = (heard[-1][1], max(stop, heard[-1][1])) if heard else (0, 0)
    if end[1] - end[0] > TOLERATED_LOSS * len(data):
        gaps.append(end)
    lost = sum(stop - start for start, stop in gaps if not _is_tags(data, start, stop))
    return (f"damaged: {lost:,} bytes among the frames are no sound, and were left out",) if lost else ()


def _is_tags(data: Buffer, start: int, stop: int) -> bool:
    left = between(data, start, stop)
    return left[0] >= left[1] or data[start : start + 11].startswith(STARTS)


def _stretches(stream: Mp3Stream) -> list[Run]:
    """Return the runs of a stream; its header, which no run holds, belongs to the first."""
    if stream.header is None or not stream.runs:
        return list(stream.runs)
    start, end = stream.runs[0]
    return [(start - len(stream.header.frame), end), *stream.runs[1:]]
