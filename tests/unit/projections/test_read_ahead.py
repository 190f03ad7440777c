"""Reading ahead changes when batches are read, never what a commit stands for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from domain.log import Batch
from projections.named_tasks import end
from projections.read_ahead import MAX_AHEAD, with_read_ahead
from tests.unit.domain import tracks as t
from tests.unit.projections.histories import recorded

pytestmark = pytest.mark.anyio

EVENT = recorded([t.uploaded()])[0]


class Batches:
    """A subscription of batches of these sizes, which then waits for ever."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.handed_out = 0

    async def __aiter__(self) -> AsyncIterator[Batch]:
        for size in self.sizes:
            await asyncio.sleep(0)
            self.handed_out += 1
            yield Batch((EVENT,) * size)
        await asyncio.Event().wait()

    async def commit(self) -> None: ...


async def take(source: Batches, count: int) -> list[tuple[int, bool]]:
    taken: list[tuple[int, bool]] = []
    async with aclosing(with_read_ahead(source, full=3)) as batches:
        async for handed in batches:
            await asyncio.sleep(0.001)
            assert handed.last_read == (source.handed_out == len(taken) + 1), "what a commit would cover"
            taken.append((len(handed.batch.events), handed.last_read))
            if len(taken) == count:
                break
    return taken


async def test_behind_a_full_batch_the_next_is_read_and_no_commit_is_due() -> None:
    assert await take(Batches(3, 3, 1, 2), 4) == [(3, False), (3, False), (1, True), (2, True)]


async def test_even_without_an_end_in_sight_a_commit_is_due_from_time_to_time() -> None:
    taken = await take(Batches(*[3] * 30), 25)
    assert [last_read for _, last_read in taken].count(True) == 25 // (MAX_AHEAD + 1)


async def test_a_handler_that_fails_ends_the_reading_too() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        async with aclosing(with_read_ahead(Batches(3), full=3)) as batches:
            async for _ in batches:
                await asyncio.sleep(0.001)
                raise ZeroDivisionError
    assert asyncio.all_tasks() == before


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    """As asyncio.wait_for did before Python 3.12; and whoever waits for the end hears of his own."""

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end([task]))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait([ending])
    assert task.cancelled()
    assert ending.cancelled()
