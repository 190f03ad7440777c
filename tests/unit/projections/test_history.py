"""Differences between states read as paths, and a grid is one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import NotFound
from domain.log import Metadata, NewEvent, Slice
from domain.track.decider import TRACK
from domain.track.state import INITIAL
from projections.history import flattened, state_at, state_diff, state_json, stream_events
from tests.unit.commands.memory import MemoryStore

pytestmark = pytest.mark.anyio


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, stream: stream_events(store, TRACK, stream, 0, 10),
        lambda store, stream: stream_events(store, TRACK, stream, 9, 10),
        lambda store, stream: state_at(store, TRACK, stream),
        lambda store, stream: state_diff(store, TRACK, stream, 0, 1),
    ],
)
async def test_a_stream_of_another_category_is_no_track(
    ask: Callable[[MemoryStore, UUID], Awaitable[Any]],
) -> None:
    store, device = MemoryStore(), uuid4()
    registered = NewEvent(uuid4(), "device.registered", 1, b"{}")
    about = Metadata("user:nobody", uuid4(), None, uuid4())
    await store.append([Slice(device, 0, "device", str(device), (registered,))], about)
    with pytest.raises(NotFound, match=f"there is no track {device}"):
        await ask(store, device)
