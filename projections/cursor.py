"""The opaque cursor of a list: where a page ended, in which order, and in which generation of the view."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from domain.errors import Invalid
from projections.documents import Place

_decode = msgspec.json.Decoder(tuple[int, str, str | float | None, str]).decode


def encode_cursor(generation: int, sort: str, place: Place) -> str:
    """Return the cursor of the page that begins after a place."""
    content = msgspec.json.encode((generation, sort, place.key, place.id))
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[int, str, Place]:
    """Return generation, sort and place. Raises Invalid for what no page ever gave."""
    try:
        content = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        generation, sort, key, id = _decode(content)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise Invalid("cursor", "not a cursor of a list: start again without one", "cursor") from error
    # No store can hold a NUL in a text, so no page ever ended at one.
    if "\0" in f"{key}{id}":
        raise Invalid("cursor", "not a cursor of a list: start again without one", "cursor")
    return generation, sort, Place(key, id)
