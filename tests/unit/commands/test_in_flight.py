"""How much a reader hands out before it waits: bounded in events and in bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from commands.in_flight import MAX_BYTES, InFlight
from domain.log import PAGE_BYTES, Batch

pytestmark = pytest.mark.anyio

EVENT: Any = object()


async def _waits(flight: InFlight) -> bool:
    waiting = asyncio.ensure_future(flight.room())
    await asyncio.sleep(0)
    waits = not waiting.done()
    waiting.cancel()
    return waits


async def test_a_reader_of_large_events_waits_for_room_in_bytes() -> None:
    """Five hundred events of 200 kB each are a hundred MB, and four times that once decoded."""
    flight, done = InFlight(), []
    while not await _waits(flight):
        done.append(flight.begin(Batch((EVENT,) * 10, {"0": 1}, bytes=PAGE_BYTES), 10))
    assert len(done) * PAGE_BYTES == MAX_BYTES
    done[-1]()
    assert not await _waits(flight), "one event of the ten that it was full with is done"


async def test_a_batch_that_waits_for_one_before_it_holds_no_events() -> None:
    """It is kept to be committed, thousands of them behind one event that is retried."""
    flight = InFlight()
    first = flight.begin(Batch((EVENT,), {"0": 1}, {"0": 2}), 1)
    flight.begin(Batch((EVENT,), {"0": 2}, {"0": 3}), 1)()
    first()
    assert [(b.events, b.reached, b.offsets) for b in await flight.finished()] == [
        ((), {"0": 1}, {"0": 2}),
        ((), {"0": 2}, {"0": 3}),
    ]
