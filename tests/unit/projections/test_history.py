"""Differences between states read as paths, and a grid is one of them."""

from __future__ import annotations

import pytest

from domain.track.state import INITIAL
from projections.history import flattened, state_json


def test_leaves_are_named_by_their_path() -> None:
    data = {"a": {"b": 1, "c": [{"d": "x"}, "y"]}, "e": None, "f": [], "g": {}}
    assert flattened(data) == {"a.b": 1, "a.c[0].d": "x", "a.c[1]": "y", "e": None, "f": [], "g": {}}


def test_a_grid_is_one_leaf_told_by_its_count_ends_and_hash() -> None:
    first, second = (
        flattened({"beats_ms": beats})["beats_ms"] for beats in ([1.0, 2.0, 3.0], [1.0, 2.5, 3.0])
    )
    assert (first["count"], first["first"], first["last"]) == (3, 1.0, 3.0)
    assert first["sha256"] != second["sha256"]


@pytest.mark.parametrize("text", ["", "abc"])
def test_a_text_is_no_list(text: str) -> None:
    assert flattened({"title": text}) == {"title": text}


def test_a_state_is_json_and_says_which_it_is() -> None:
    assert state_json(INITIAL) == {"type": "absent"}
