"""Follows the log for a process manager: each event at least once, in the order of its key, none passed by.

A group that is new, or has lost its place, replays all there is from the event store and then follows from
where the log ended before: what it handles must be harmless when it comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

import structlog

from domain.errors import LedgerError
from domain.lag import Lag, lag
from domain.log import EventStore, Log, Subscription
from domain.recorded import Recorded

log = structlog.get_logger(__name__)

_AGAIN_S = 1.0


class Follower:
    """One member of a consumer group; `handle` lets one event take effect."""

    def __init__(
        self,
        group: str,
        categories: Collection[str],
        log: Log,
        store: EventStore,
        handle: Callable[[Recorded], Awaitable[None]],
    ) -> None:
        self._group = group
        self._categories = categories
        self._log = log
        self._store = store
        self._handle = handle
        self._reached: Mapping[str, int] = {}
        self._subscription: Subscription | None = None

    async def run(self) -> None:
        """Follow the log until cancelled. Whatever goes wrong, it begins again at the last commit."""
        while True:
            try:
                await self._follow()
            except LedgerError as error:
                log.warning("follower.begins_again", group=self._group, code=error.code, detail=error.detail)
            await asyncio.sleep(_AGAIN_S)

    async def lag(self, now: datetime) -> Lag | None:
        """Return how far this member is behind; None while it was shown nothing of what is its own to follow.

        Raises Unavailable.
        """
        reached = self._reached
        # What a rebalance gave to others is theirs to be late with. Without any shard this member may as well
        # be between two tries at an event it can't handle: then what it reached last tells.
        if self._subscription is not None and (ours := self._subscription.reached):
            reached = {shard: position for shard, position in reached.items() if shard in ours}
        if not reached:
            # Whoever can't reach the log is shown nothing either.
            await self._log.end_offsets(self._categories)
            return None
        return await lag(self._store, self._categories, reached.values(), now)

    async def _follow(self) -> None:
        if not await self._log.group_exists(self._group):
            await self._catch_up()
        async with self._log.subscribe(self._group, self._categories) as subscription:
            self._subscription = subscription
            async for batch in subscription:
                if not self._reached and batch.events:
                    # Stopped before its first event it is behind, not idle.
                    before = min(recorded.position for recorded in batch.events) - 1
                    self._reached = dict.fromkeys(batch.reached, before)
                for recorded in batch.events:
                    await self._handle(recorded)
                await subscription.commit()
                self._reached = dict(subscription.reached)

    async def _catch_up(self) -> None:
        ends = await self._log.end_offsets(self._categories)
        position = 0
        self._subscription, self._reached = None, dict.fromkeys(ends, position)
        while page := await self._store.read_log(position, categories=self._categories):
            for recorded in page:
                await self._handle(recorded)
            position = page[-1].position
            self._reached = dict.fromkeys(ends, position)
        await self._log.start_group(self._group, ends)
