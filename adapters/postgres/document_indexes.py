"""The SQL of document fields. Indexes and queries must write them alike, or no index is used.

A missing field compares as lowest: as the empty text, or minus infinity. So no comparison meets a null, and
one index serves both directions and the row comparisons of keyset pagination.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from psycopg import sql

from projections.view import Kind, View

LOWEST_NUMBER = float("-inf")


def expression(field: str, kind: Kind) -> sql.Composable:
    """Return the SQL of a document's field in the form that comparisons use."""
    if kind == "text":
        return sql.SQL("""(coalesce(body ->> {}, '') COLLATE "C")""").format(sql.Literal(field))
    if kind == "number":
        return sql.SQL("(coalesce((body ->> {})::float8, '-Infinity'::float8))").format(sql.Literal(field))
    return sql.SQL("(body -> {})").format(sql.Literal(field))


def index_statements(views: Iterable[View]) -> list[str]:
    """Return the DDL of every view's indexes, for `migrate(..., extra_statements=...)`; repeatable."""
    return [_statement(view, fields).as_string() for view in views for fields in view.indexes]


def index_names(views: Iterable[View]) -> set[str]:
    """Return the names of every view's indexes."""
    return {_name(view, fields) for view in views for fields in view.indexes}


def _name(view: View, fields: tuple[str, ...]) -> str:
    # Named by content: a field that changes its kind gets a new index, and no name exceeds 63 bytes.
    digest = sha256(repr([(field, view.fields[field]) for field in fields]).encode()).hexdigest()[:8]
    return f"documents_{view.name[:40]}_{digest}"


def _statement(view: View, fields: tuple[str, ...]) -> sql.Composed:
    expressions = [expression(field, view.fields[field]) for field in fields]
    if view.fields[fields[0]] == "array":
        method, columns = sql.SQL("gin"), [sql.SQL("{} jsonb_path_ops").format(e) for e in expressions]
    else:
        method, columns = sql.SQL("btree"), [sql.SQL("generation"), *expressions, sql.SQL("id")]
    return sql.SQL(
        "CREATE INDEX IF NOT EXISTS {} ON documents USING {} ({}) WHERE view = {} AND listed"
    ).format(sql.Identifier(_name(view, fields)), method, sql.SQL(", ").join(columns), sql.Literal(view.name))
