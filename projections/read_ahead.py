"""Reads the next batch while one is handled, so that a projector that catches up never waits for the log.

A commit covers every batch handed out, including those read ahead, so it may follow only if none is read
ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from domain.log import Batch, Subscription
from projections.named_tasks import end

MAX_AHEAD = 8
"""Batches read ahead in a row before one is not, so that commits come from time to time."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A batch; `last_read` = no later one was read, so a commit may follow once it has taken effect."""

    batch: Batch
    last_read: bool


async def with_read_ahead(subscription: Subscription, full: int) -> AsyncGenerator[Handed]:
    """Yield the batches of a subscription; after a full batch the next one is read during its handling."""
    batches = aiter(subscription)
    batch, ahead = await anext(batches), 0
    while True:
        ahead = ahead + 1 if len(batch.events) == full and ahead < MAX_AHEAD else 0
        if not ahead:
            yield Handed(batch, last_read=True)
            batch = await anext(batches)
            continue
        reading = asyncio.create_task(_next(batches))
        try:
            yield Handed(batch, last_read=False)
            batch = await reading
        finally:
            await end([reading])


async def _next(batches: AsyncIterator[Batch]) -> Batch:
    return await anext(batches)
