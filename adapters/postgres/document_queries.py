"""Builds the SQL of finds and counts over the documents table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec
from psycopg import sql

from adapters.postgres.document_indexes import LOWEST_NUMBER, expression
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

_LOWEST_GIVEN = -1.7976931348623157e308
"""The lowest finite number: it is above minus infinity, which stands for a missing number."""


def find_statement(
    generation: Generation, where: Sequence[Condition], sort: Sort, after: Place | None, limit: int
) -> sql.Composed:
    """Return the query for the page after a place; its rows are body (text), sort key and id."""
    key = expression(sort.field, sort.kind)
    conditions = _conditions(generation, where)
    if after is not None:
        conditions.append(
            sql.SQL("({}, id) {} ({}, {})").format(
                key, sql.SQL("<" if sort.descending else ">"), _key(sort, after), sql.Literal(after.id)
            )
        )
    return sql.SQL(
        "SELECT body::text, {key}, id FROM documents WHERE {where}"
        " ORDER BY {key} {way}, id {way} LIMIT {limit}"
    ).format(
        key=key,
        where=sql.SQL(" AND ").join(conditions),
        way=sql.SQL("DESC" if sort.descending else "ASC"),
        limit=sql.Literal(limit),
    )


def count_statement(generation: Generation, where: Sequence[Condition]) -> sql.Composed:
    """Return the query for the number of documents."""
    conditions = sql.SQL(" AND ").join(_conditions(generation, where))
    return sql.SQL("SELECT count(*) FROM documents WHERE {}").format(conditions)


def _key(sort: Sort, after: Place) -> sql.Composable:
    if after.key is not None:
        return sql.Literal(float(after.key) if sort.kind == "number" else after.key)
    return sql.Literal(LOWEST_NUMBER if sort.kind == "number" else "")


def _conditions(generation: Generation, where: Sequence[Condition]) -> list[sql.Composable]:
    # The view is a literal, because a parameter would keep the planner from the partial indexes.
    conditions: list[sql.Composable] = [
        sql.SQL("view = {} AND listed").format(sql.Literal(generation.view)),
        sql.SQL("generation = {}").format(sql.Literal(generation.number)),
    ]
    if generation.number == 0:
        conditions.append(sql.SQL("expires_at > now()"))
    return [*conditions, *map(_condition, where)]


def _condition(condition: Condition) -> sql.Composable:
    match condition:
        case Equals(field, value):
            return _compared(field, "=", value)
        case Differs(field, value):
            return _compared(field, "<>", value)
        case Has(field, value):
            wanted = sql.Literal(msgspec.json.encode([value]).decode())
            return sql.SQL("{} @> {}::jsonb").format(expression(field, "array"), wanted)
        case Between(field, low, high):
            least = _compared(field, ">=", _LOWEST_GIVEN if low is None else float(low))
            if high is None:
                return least
            return sql.SQL("{} AND {}").format(least, _compared(field, "<=", float(high)))
        case Contains(field, text):
            return sql.SQL("strpos({}, {}) > 0").format(expression(field, "text"), sql.Literal(text))
        case _:
            assert_never(condition)


def _compared(field: str, operator: str, value: str | float) -> sql.Composable:
    kind = "text" if isinstance(value, str) else "number"
    literal = sql.Literal(value if isinstance(value, str) else float(value))
    return sql.SQL("{} {} {}").format(expression(field, kind), sql.SQL(operator), literal)  # pyright: ignore[reportArgumentType]
