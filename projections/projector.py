"""Follows the log into one generation of a view: one read, one bulk write, then the commit, for each batch.

Its effect is exactly once wherever it is killed: documents move from revision to revision by compare-and-set,
and a batch that was written but not committed is redelivered and changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import aclosing

import structlog

from domain.errors import NotFound
from domain.log import Batch, Log
from domain.recorded import Recorded
from domain.registry import Registry
from projections.documents import Change, DocumentStore, Generation, GenerationGone, Stored, Unwritable
from projections.fold import fold, park
from projections.progress import Progress
from projections.read_ahead import with_read_ahead
from projections.view import View

BATCH = 500
"""The most events of one read and one write."""

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 5.0

_logger = structlog.get_logger(__name__)


class Projector:
    """Folds one view into one generation. Two at once do no harm: the slower one loses and reads again."""

    def __init__(
        self,
        view: View,
        generation: Generation,
        store: DocumentStore,
        registry: Registry,
        progress: Progress,
    ) -> None:
        self._view = view
        self._generation = generation
        self._store = store
        self._registry = registry
        self._progress = progress
        self._log = _logger.bind(view=view.name, generation=generation.number)

    async def run(self, log: Log) -> None:
        """Follow the log until the generation is retired. Stores and log may be unreachable for a time.

        Raises NotFound when the generation's group is gone or was restarted.
        """
        failures = 0
        while True:
            try:
                async with (
                    log.subscribe(self._generation.group, self._view.categories, BATCH) as subscription,
                    aclosing(with_read_ahead(subscription, full=BATCH)) as batches,
                ):
                    async for handed in batches:
                        await self.handle(handed.batch)
                        if handed.last_read:
                            await subscription.commit()
                        failures = 0
            except GenerationGone:
                self._log.info("projector.retired")
                return
            except NotFound:
                raise
            except Exception as error:  # noqa: BLE001 - a view must never stop silently
                failures += 1
                wait_s = _retry_s(failures)
                self._log.warning("projector.failed", error=repr(error), failures=failures, retry_s=wait_s)
                await asyncio.sleep(wait_s)

    async def handle(self, batch: Batch) -> None:
        """Apply a batch. Raises Unavailable (apply it again) or GenerationGone."""
        events = batch.events
        while lost := await self._attempt(events, batch.reached):
            # Another projector of this generation was faster: read its result, and do the rest.
            events = tuple(e for e in events if str(e.stream) in lost)
        self._progress.announce(self._view.name)

    async def _attempt(self, events: Sequence[Recorded], reached: Mapping[str, int]) -> frozenset[str]:
        ids = {str(e.stream) for e in events}
        before = await self._store.get_many(self._generation, ids) if ids else {}
        folded = fold(self._view, self._registry, before, events)
        self._tell_of_parked(folded.changes)
        try:
            return await self._store.write(self._generation, folded.changes, folded.entries, reached)
        except Unwritable:
            return await self._one_by_one(before, events, reached)

    async def _one_by_one(
        self, before: Mapping[str, Stored], events: Sequence[Recorded], reached: Mapping[str, int]
    ) -> frozenset[str]:
        """Write each stream's document separately, so that only unwritable ones are parked."""
        lost: set[str] = set()
        for id in dict.fromkeys(str(e.stream) for e in events):
            own = [e for e in events if str(e.stream) == id]
            folded = fold(self._view, self._registry, before, own)
            try:
                lost |= await self._store.write(self._generation, folded.changes, folded.entries)
            except Unwritable as error:
                change = _unwritable(before.get(id) or Stored(id), own, error)
                self._tell_of_parked([change])
                lost |= await self._store.write(self._generation, [change])
        return frozenset(lost) or await self._store.write(self._generation, (), (), reached)

    def _tell_of_parked(self, changes: Sequence[Change]) -> None:
        for change in changes:
            parked = change.after.parked
            if parked and not change.before.parked:
                self._log.error(
                    "projector.parked", stream=change.after.id, position=parked.position, error=parked.error
                )


def _unwritable(stored: Stored, events: Sequence[Recorded], error: Unwritable) -> Change:
    new = [e for e in events if e.revision > stored.handled]
    return Change(stored, park(stored, new[0], new[-1].revision, f"{new[0].type}: {error}"))


def _retry_s(failures: int) -> float:
    """Return the wait in s after this many failures in a row: doubling, and randomised across processes."""
    return min(FIRST_RETRY_S * 2 ** min(failures, 10), LAST_RETRY_S) * random.uniform(0.5, 1.0)  # noqa: S311
