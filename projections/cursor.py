"""The opaque cursor of a list: the end of a page, the list, and the generation of the view."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from domain.errors import Invalid
from projections.documents import Condition, Place

_decode = msgspec.json.Decoder(tuple[int, str, str | float | None, str]).decode


def list_digest(sort: str, where: Sequence[Condition]) -> str:
    """Return a digest of a list's order and filter: a place in one list is meaningless in another."""
    return sha256(repr((sort, tuple(where))).encode()).hexdigest()[:16]


def encode_cursor(generation: int, digest: str, place: Place) -> str:
    """Return the cursor of the page after a place; `digest` is that of the list."""
    content = msgspec.json.encode((generation, digest, place.key, place.id))
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[int, str, Place]:
    """Return generation, list digest and place. Raises Invalid for a text that is not a cursor."""
    try:
        content = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        generation, digest, key, id = _decode(content)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise Invalid("cursor", "not a cursor of a list: start again without one", "cursor") from error
    # No store can hold a NUL in a text, so no page ends at one.
    if "\0" in f"{key}{id}":
        raise Invalid("cursor", "not a cursor of a list: start again without one", "cursor")
    return generation, digest, Place(key, id)
