"""The indexes of a generation's collection: those its view names, and the one that finds parked streams."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.mongo.bodies import written_name
from projections.view import View

LISTED = "listed"
"""Finds and counts see only documents that are; the indexes hold no others."""

PARKED = "parked.position"
"""Where parked streams are found, in the order in which they are listed."""

EXPIRES = "expires_at"
"""When MongoDB removes a document by itself."""


def path(field: str) -> str:
    """Return where a body's field is in a stored document."""
    return f"body.{written_name(field)}"


def view_indexes(view: View | None) -> list[IndexModel]:
    """Return the indexes of a view's generations. Every one ends in the id, as every order does."""
    parked = IndexModel(
        [(PARKED, ASCENDING), ("_id", ASCENDING)], partialFilterExpression={PARKED: {"$exists": True}}
    )
    return [parked, *(_index(fields) for fields in (view.indexes if view else ()))]


def expiry_index() -> IndexModel:
    """Return the index by which MongoDB removes what has expired."""
    return IndexModel([(EXPIRES, ASCENDING)], expireAfterSeconds=0)


def _index(fields: tuple[str, ...]) -> IndexModel:
    keys = [*((path(field), ASCENDING) for field in fields), ("_id", ASCENDING)]
    return IndexModel(keys, partialFilterExpression={LISTED: True})
