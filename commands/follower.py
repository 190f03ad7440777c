"""A process manager's position in the log: reads ahead while events are handled, commits handled batches.

A group that is new, or has lost its position, replays the whole event store and then follows the log from its
earlier end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog

from commands.in_flight import InFlight
from domain.errors import LedgerError
from domain.lag import Lag, lag
from domain.log import Batch, EventStore, Log, Subscription
from domain.recorded import Recorded

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0

HandOut = Callable[[Sequence[Recorded], Callable[[], None]], Awaitable[None]]
"""Takes events over and calls the function once for each event that is done."""


class Follower:
    """One member of a consumer group."""

    def __init__(
        self,
        group: str,
        categories: Collection[str],
        log: Log,
        store: EventStore,
        hand_out: HandOut,
        forget_waiting: Callable[[], None],
    ) -> None:
        self._group = group
        self._categories = categories
        self._log = log
        self._store = store
        self._hand_out = hand_out
        self._forget_waiting = forget_waiting
        self._reached: Mapping[str, int] = {}
        self._subscription: Subscription | None = None

    async def run(self) -> None:
        """Follow the log until cancelled. After an error it starts again at the last commit."""
        while True:
            try:
                await self._follow()
            except* LedgerError as errors:
                for error in errors.exceptions:
                    log.warning("follower.begins_again", group=self._group, error=repr(error))
            await asyncio.sleep(_AGAIN_S)

    async def lag(self, now: datetime) -> Lag | None:
        """Return this member's lag; None before it has been shown events of its shards.

        Raises Unavailable.
        """
        reached = self._reached
        # Shards that a rebalance gave to others are not counted. Without any shard this member may also be
        # between two subscriptions: then its last position counts.
        if self._subscription is not None and (ours := self._subscription.reached):
            reached = {shard: position for shard, position in reached.items() if shard in ours}
        if not reached:
            # A member that can't reach the log is shown nothing either.
            await self._log.end_offsets(self._categories)
            return None
        return await lag(self._store, self._categories, reached.values(), now)

    async def _follow(self) -> None:
        # Events that the last subscription delivered and no driver has begun come again.
        self._forget_waiting()
        if not await self._log.group_exists(self._group):
            await self._catch_up()
        flight = InFlight()
        async with self._log.subscribe(self._group, self._categories) as subscription:
            self._subscription = subscription
            async with asyncio.TaskGroup() as both:
                both.create_task(self._commit(subscription, flight))
                async for batch in subscription:
                    if not self._reached and batch.events:
                        # Before its first event is handled it is behind, not idle.
                        before = min(recorded.position for recorded in batch.events) - 1
                        self._reached = dict.fromkeys(batch.reached, before)
                    await self._take(batch, flight)

    async def _take(self, batch: Batch, flight: InFlight) -> None:
        done = flight.begin(batch, len(batch.events))
        await self._hand_out(batch.events, done)
        await flight.room()

    async def _commit(self, subscription: Subscription, flight: InFlight) -> None:
        while True:
            batches = await flight.finished()
            await subscription.commit(batches[-1])
            for batch in batches:
                self._reached = {**self._reached, **batch.reached}

    async def _catch_up(self) -> None:
        ends = await self._log.end_offsets(self._categories)
        position = 0
        self._subscription, self._reached = None, dict.fromkeys(ends, position)
        flight = InFlight()
        async with asyncio.TaskGroup() as both:
            noting = both.create_task(self._note(flight))
            while page := await self._store.read_log(position, categories=self._categories):
                position = page[-1].position
                batch = Batch(tuple(page), dict.fromkeys(ends, position), bytes=page.bytes)
                await self._take(batch, flight)
            await flight.empty()
            noting.cancel()
        await self._log.start_group(self._group, ends)

    async def _note(self, flight: InFlight) -> None:
        while True:
            self._reached = (await flight.finished())[-1].reached
