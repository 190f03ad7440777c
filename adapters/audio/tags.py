"""Tags before and behind the sound of any container: ID3v1, ID3v2, APEv2 and Lyrics3.

Sources: id3.org (ID3v2.4, 3.4: the footer), the Hydrogenaudio wiki (APEv2: header and footer of 32 bytes,
the size without the header), id3.org/Lyrics3v2.
"""

from __future__ import annotations

from adapters.audio.pieces import Buffer, Run

_APE = b"APETAGEX"
_APE_BYTES = 32
_APE_HAS_HEADER = 0x80
_ID3V1_BYTES, _ID3V1_MORE_BYTES = 128, 227
_LYRICS_MOST = 5_100 + 20
"""Lyrics3 version 1 states no length, but has a limit."""

STARTS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def id3_length(head: bytes) -> int:
    """Return how many bytes an ID3v2 tag takes that starts here, by its header of ten; 0 without one."""
    if head[:3] not in (b"ID3", b"3DI") or len(head) < 10:
        return 0
    footer = 10 if head[5] & 0x10 else 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + footer


def leading(head: bytes) -> int:
    """Return how many bytes the tag takes that starts here, by its first 32 bytes; 0 without one."""
    if head[:8] == _APE and len(head) >= _APE_BYTES:
        return _APE_BYTES + int.from_bytes(head[12:16], "little")
    return id3_length(head) if head[:3] == b"ID3" else 0


def between(data: Buffer, start: int, end: int) -> Run:
    """Return what lies between the tags at the start and those at the end of a stretch of a file."""
    while (length := leading(data[start : min(end, start + _APE_BYTES)])) and start + length <= end:
        start += length
    while (length := _trailing(data, start, end)) and length <= end - start:
        end -= length
    return start, end


def _trailing(data: Buffer, start: int, end: int) -> int:
    """Return how many bytes the tag takes that ends here; 0 without one."""
    if end - start >= _ID3V1_BYTES and data[end - _ID3V1_BYTES : end - _ID3V1_BYTES + 3] == b"TAG":
        more = end - _ID3V1_BYTES - _ID3V1_MORE_BYTES
        return _ID3V1_BYTES + (_ID3V1_MORE_BYTES if more >= start and data[more : more + 4] == b"TAG+" else 0)
    foot = data[max(start, end - _APE_BYTES) : end]
    if foot[:8] == _APE and len(foot) == _APE_BYTES:
        header = _APE_BYTES if foot[23] & _APE_HAS_HEADER else 0
        return int.from_bytes(foot[12:16], "little") + header
    if foot[-10:-7] == b"3DI":
        return id3_length(foot[-10:])
    if foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
        return int(foot[-15:-9]) + 15
    if foot[-9:] == b"LYRICSEND":
        begin = data.rfind(b"LYRICSBEGIN", max(start, end - _LYRICS_MOST), end)
        return end - begin if begin >= 0 else 0
    return 0
