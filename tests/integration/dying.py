"""Parts of the read side that die, or dawdle, at a chosen step: between any two effects of a projector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from domain.log import Batch, Log, Subscription
from projections.documents import DocumentStore, Generation, Stored


class Killed(BaseException):
    """What no code of ours may catch: as good as SIGKILL for everything but the machine's memory."""


class Death:
    """Strikes at step `at`: each effect has a step right before and one right after it."""

    def __init__(self, at: int) -> None:
        self.left = at

    async def around(self, effect: Callable[[], Awaitable[Any]]) -> Any:
        self._step()
        result = await effect()
        self._step()
        return result

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class DyingStore:
    """A document store whose reads and writes are steps; everything else is the store's own."""

    def __init__(self, store: DocumentStore, death: Death) -> None:
        self._store, self._death = store, death

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get_many(self, *args: Any) -> Any:
        return await self._death.around(lambda: self._store.get_many(*args))

    async def write(self, *args: Any) -> Any:
        return await self._death.around(lambda: self._store.write(*args))


class DyingLog:
    """A log in small batches, whose commits are steps."""

    def __init__(self, log: Log, death: Death, limit: int = 7) -> None:
        self._log, self._death, self._limit = log, death, limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    @asynccontextmanager
    async def subscribe(
        self, group: str, categories: Collection[str], limit: int
    ) -> AsyncIterator[DyingSubscription]:
        async with self._log.subscribe(group, categories, min(limit, self._limit)) as subscription:
            yield DyingSubscription(subscription, self._death)


class DyingSubscription:
    def __init__(self, subscription: Subscription, death: Death) -> None:
        self._subscription, self._death = subscription, death

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self._subscription.__aiter__()

    async def commit(self) -> None:
        await self._death.around(self._subscription.commit)


class DawdlingStore:
    """A store for a zombie: between its read and its write it waits until it is told to go on."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self.has_read, self.may_write = asyncio.Event(), asyncio.Event()
        self.lost: list[frozenset[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get_many(self, generation: Generation, ids: Collection[str]) -> dict[str, Stored]:
        read = await self._store.get_many(generation, ids)
        self.has_read.set()
        await self.may_write.wait()
        return read

    async def write(self, *args: Any) -> frozenset[str]:
        self.lost.append(await self._store.write(*args))
        return self.lost[-1]
