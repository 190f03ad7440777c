"""Postgres: every find of the track list goes through an index, whichever way it is sorted or paged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from adapters.postgres.access import Access
from adapters.postgres.document_queries import find_statement
from domain.errors import Unavailable
from projections.documents import Between, Condition, Differs, Equals, Generation, Has, Place, Sort
from projections.track_list import TRACK_LIST
from projections.view import View
from tests.servers.postgres import TestServer
from tests.servers.read_models import open_read_side, read_models

SERVED = Generation("track_list", 1)
LIVE = Differs("status", "archived")


@pytest.fixture(scope="module")
def rows(postgres: TestServer) -> Iterator[Access]:
    """Two generations of 5,000 rows each, as the planner knows them."""
    with read_models(postgres, [TRACK_LIST]) as access:
        with psycopg.connect(access.owner, autocommit=True) as connection:
            connection.execute(
                """
                INSERT INTO documents (view, generation, id, seen, handled, listed, body)
                SELECT 'track_list', g, 'id-' || n, 1, 1, true, jsonb_build_object(
                    'created_at', to_char(n, '000000'), '_title', md5(n::text), '_search', md5(n::text),
                    'bpm', 60 + n % 120, 'f_measure', (n % 1000) / 1000.0, 'preset', 'edm',
                    'status', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'ready' END,
                    'tags', jsonb_build_array('tag-' || n % 500), 'filler', repeat('x', 300)
                )
                FROM generate_series(1, 2) g, generate_series(1, 5000) n
                """
            )
            connection.execute("VACUUM ANALYZE documents")
        yield access


def plan(access: Access, *find: Any) -> tuple[str, list[str]]:
    """Return the plan of a find, and the names of its nodes."""
    statement = find_statement(SERVED, *find)
    with psycopg.connect(access.serving) as connection:
        explained = connection.execute(b"EXPLAIN " + statement.as_bytes(connection)).fetchall()
    lines = [line for (line,) in explained]
    return "\n".join(lines), [line.split("(cost")[0].strip() for line in lines if "(cost" in line]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("after", ["first page", "in the middle"])
@pytest.mark.parametrize(
    ("field", "kind", "key"),
    [
        ("created_at", "text", "002500"),
        ("_title", "text", "8"),
        ("bpm", "number", 120.0),
        ("f_measure", "number", 0.5),
    ],
)
def test_a_page_is_read_from_its_sorts_index_without_sorting(
    rows: Access, field: str, kind: Any, key: str | float, after: str, descending: bool
) -> None:
    place = Place(key, "id-77") if after == "in the middle" else None
    shown, nodes = plan(rows, [LIVE], Sort(field, kind, descending), place, 51)
    assert not [n for n in nodes if "Seq Scan" in n or "Sort" in n], shown
    assert "Index Scan" in shown
    # The place is where the scan begins, not what it filters by.
    assert place is None or "ROW(" in shown.split("Index Cond")[1].splitlines()[0], shown


@pytest.mark.parametrize(
    ("where", "sort"),
    [
        ([Equals("status", "failed")], Sort("created_at", "text", descending=True)),
        ([Has("tags", "tag-7"), LIVE], Sort("created_at", "text", descending=True)),
        ([Between("f_measure", low=0.995), LIVE], Sort("f_measure", "number", descending=True)),
        ([Between("bpm", 174, 175), LIVE], Sort("bpm", "number")),
    ],
)
def test_a_filter_that_chooses_few_is_answered_by_an_index(
    rows: Access, where: list[Condition], sort: Sort
) -> None:
    shown, _ = plan(rows, where, sort, None, 51)
    assert "Seq Scan" not in shown, shown
    conditions = [line for line in shown.splitlines() if "Index Cond" in line]
    assert any("body ->" in line for line in conditions), shown


@pytest.mark.anyio
async def test_indexes_that_are_missing_are_told(rows: Access) -> None:
    """No serving process may make them."""
    async with open_read_side(rows) as side:
        await side.store.ensure_indexes([TRACK_LIST])
        other = View(
            "others", 1, TRACK_LIST.categories, TRACK_LIST.apply, fields={"n": "number"}, indexes=(("n",),)
        )
        with pytest.raises(Unavailable, match="migrate"):
            await side.store.ensure_indexes([TRACK_LIST, other])
