"""A cursor comes back as it was given, and nothing else passes for one."""

from __future__ import annotations

import pytest

from domain.errors import Invalid
from projections.cursor import decode_cursor, encode_cursor, list_digest
from projections.documents import Between, Differs, Equals, Place


@pytest.mark.parametrize("key", ["2026-01-01", "", 0.1 + 0.2, 128.0, None])
def test_a_cursor_comes_back_exactly(key: str | float | None) -> None:
    assert decode_cursor(encode_cursor(3, "0a", Place(key, "id"))) == (3, "0a", Place(key, "id"))


def test_lists_are_told_apart_by_order_and_filter() -> None:
    wheres = [(), (Equals("a", "x"),), (Differs("a", "x"),), (Equals("a", "y"),), (Between("a", None, 1.0),)]
    digests = {list_digest(sort, where) for where in wheres for sort in ("bpm", "-bpm")}
    assert len(digests) == 2 * len(wheres)
    assert list_digest("bpm", [Equals("a", "x")]) == list_digest("bpm", (Equals("a", "x"),))


def test_a_place_that_no_store_can_hold_is_refused() -> None:
    for place in (Place("a\0", "id"), Place("a", "id\0")):
        with pytest.raises(Invalid):
            decode_cursor(encode_cursor(3, "title", place))


@pytest.mark.parametrize("text", ["", "x", "WzFd", "é", "eyJhIjoxfQ", "bnVsbA=="])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(text)
