"""The indexes of a generation's collection: those of its view, and the one that finds parked streams."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.mongo.bodies import written_name
from projections.view import View

LISTED = "listed"
"""Finds and counts see only listed documents; the indexes hold no others."""

PARKED = "parked.position"
"""Finds parked streams, in the order in which they are listed."""

EXPIRES = "expires_at"
"""The time at which MongoDB removes a document by itself."""


def path(field: str) -> str:
    """Return the path of a body's field in a stored document."""
    return f"body.{written_name(field)}"


def view_indexes(view: View | None) -> list[IndexModel]:
    """Return the indexes of a view's generations. Each ends in the id, as every order does."""
    parked = IndexModel(
        [(PARKED, ASCENDING), ("_id", ASCENDING)], partialFilterExpression={PARKED: {"$exists": True}}
    )
    return [parked, *(_index(fields) for fields in (view.indexes if view else ()))]


def expiry_index() -> IndexModel:
    """Return the index by which MongoDB removes expired documents."""
    return IndexModel([(EXPIRES, ASCENDING)], expireAfterSeconds=0)


def _index(fields: tuple[str, ...]) -> IndexModel:
    keys = [*((path(field), ASCENDING) for field in fields), ("_id", ASCENDING)]
    return IndexModel(keys, partialFilterExpression={LISTED: True})
