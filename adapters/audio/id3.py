"""The length of an ID3v2 tag, which may stand before any format."""

from __future__ import annotations


def id3_length(head: bytes) -> int:
    """Return how many bytes a tag takes that starts here, by its header of ten; 0 without one."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
