"""Builds the filters of finds and counts.

A missing or null field sorts below every value, and no comparison with a value matches it. A page starts
with one bound on the sort key, which is one range of its index, and among equal keys after the id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, assert_never

from pymongo import ASCENDING, DESCENDING

from adapters.mongo.document_indexes import EXPIRES, LISTED, path
from projections.documents import (
    Between,
    Condition,
    Contains,
    Differs,
    Equals,
    Generation,
    Has,
    Place,
    Sort,
)

Filter = dict[str, Any]


def find_filter(
    generation: Generation, where: Sequence[Condition], sort: Sort, after: Place | None
) -> tuple[Filter, list[tuple[str, int]]]:
    """Return the filter and the order of the page after a place."""
    key, way = path(sort.field), DESCENDING if sort.descending else ASCENDING
    behind = [] if after is None else _behind(key, sort.descending, after)
    return count_filter(generation, where, behind), [(key, way), ("_id", way)]


def count_filter(generation: Generation, where: Sequence[Condition], more: Sequence[Filter] = ()) -> Filter:
    """Return the filter of the documents that meet every condition."""
    clauses = [*map(_condition, where), *more]
    chosen: Filter = {LISTED: True, **unexpired(generation)}
    return {**chosen, "$and": clauses} if clauses else chosen


def unexpired(generation: Generation) -> Filter:
    """Return the filter without expired documents, which MongoDB removes a minute or more late."""
    return {} if generation.number else {EXPIRES: {"$gt": datetime.now(UTC)}}


def _behind(key: str, descending: bool, after: Place) -> list[Filter]:
    # Not `{key: {"$lte": value}}`: that would leave out documents without the key, which come after every
    # value.
    among_equals: Filter = {"_id": {"$lt" if descending else "$gt": after.id}}
    if after.key is None and descending:
        return [{key: None}, among_equals]
    beyond = [{"$or": [{key: {"$ne": after.key}}, among_equals]}]
    if after.key is None:
        return beyond
    return [{key: {"$not": {"$gt": after.key}} if descending else {"$gte": after.key}}, *beyond]


def _condition(condition: Condition) -> Filter:
    match condition:
        case Equals(field, value) | Has(field, value):
            return {path(field): value}
        case Differs(field, value):
            return {path(field): {"$ne": value}}
        case Between(field, low, high):
            least: Filter = {"$gte": float("-inf") if low is None else low}
            return {path(field): least if high is None else {**least, "$lte": high}}
        case Contains(field, text):
            return {path(field): {"$regex": re.escape(text)}}
        case _:
            assert_never(condition)
