"""Documents as BSON and back: stored field by field, so that people can read them and indexes can use them.

A dot or a dollar in a field's name means a path or an operator to MongoDB, so it is escaped as in a URL.
"""

from __future__ import annotations

from types import NoneType
from typing import Any
from urllib.parse import unquote

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from projections.documents import Unwritable

MAX_BYTES = 16 * 1024 * 1024
"""MongoDB's limit of a document."""

_DEEPEST = 95
"""The deepest nesting of a body: MongoDB accepts documents of 100 levels."""

_NUMBERS = frozenset({int, float, bool, NoneType})


def written_name(name: str) -> str:
    """Return the name of a field in MongoDB."""
    written = name.replace("%", "%25").replace(".", "%2E")
    return "%24" + written[1:] if written.startswith("$") else written


def encoded(document: dict[str, Any]) -> RawBSONDocument:
    """Return a document's BSON, before anything is sent. Raises Unwritable."""
    try:
        content = bson.encode(document)
    except (BSONError, OverflowError, ValueError, TypeError) as error:
        raise Unwritable(f"MongoDB can't store this: {error}") from error
    if len(content) > MAX_BYTES:
        raise Unwritable(f"MongoDB can't store this: {len(content)} bytes, at most {MAX_BYTES}")
    return RawBSONDocument(content)


def packed(value: Any, levels: int = _DEEPEST) -> Any:
    """Return JSON data in its stored form. Raises Unwritable if it is no JSON or would read back changed."""
    match value:
        case dict() | list() | tuple() if not levels:
            raise Unwritable("MongoDB can't store this: nested too deep")
        case dict():
            return {written_name(_text(key)): packed(item, levels - 1) for key, item in value.items()}
        case list() | tuple() if _NUMBERS.issuperset(map(type, value)):
            return value  # a beat grid: skips a check of each number
        case list() | tuple():
            return [packed(item, levels - 1) for item in value]
        case None | int() | float():
            return value
        case _:
            return _text(value)


def unpacked(value: Any) -> Any:
    """Return the data that `packed` was given."""
    match value:
        case dict():
            return {unquote(key) if "%" in key else key: unpacked(item) for key, item in value.items()}
        case list() if not _NUMBERS.issuperset(map(type, value)):
            return [unpacked(item) for item in value]
        case _:
            return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unwritable(f"not JSON: {type(value).__name__}")
    if "\0" in value:
        raise Unwritable("MongoDB can't store this: a NUL in a text")  # nor in a name or a pattern
    return value
