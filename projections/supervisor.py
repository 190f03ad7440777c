"""Runs every view of one process: builds missing generations, follows serving ones, drops retired ones.

It checks the store's generations periodically, since another process may rebuild a view at any time. Any
number of processes may run it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from domain.errors import Unavailable
from domain.log import EventStore, Log
from domain.registry import Registry
from projections.documents import DocumentStore, Generation
from projections.named_tasks import NamedTasks
from projections.progress import Progress
from projections.projector import Projector
from projections.rebuild import AT_ONCE, follow, rebuild
from projections.view import View

TEND_S = 0.5
SWEEP_S = 10.0
KEEP_RETIRED_S = 60.0
"""The longest time for which a query may read an old generation after a switch."""

_logger = structlog.get_logger(__name__)


class Projections:
    """All projectors of one process."""

    def __init__(
        self,
        views: Sequence[View],
        store: DocumentStore,
        log: Log,
        events: EventStore,
        registry: Registry,
        progress: Progress,
    ) -> None:
        self._views = views
        self._store = store
        self._log = log
        self._events = events
        self._registry = registry
        self._progress = progress
        self._indexed = False
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Run until cancelled. It waits while a store is unreachable, and logs that."""
        async with NamedTasks() as tasks:
            while True:
                try:
                    await self._tend_all(tasks)
                except Unavailable as away:
                    _logger.warning("projections.store_away", error=str(away))
                await tasks.wait(TEND_S)

    async def rebuild(self, name: str) -> Generation:
        """Build one view again, and return when the new generation serves. Raises KeyError, Unavailable."""
        return await self._rebuild({view.name: view for view in self._views}[name])

    async def _rebuild(self, view: View) -> Generation:
        return await rebuild(
            view, self._store, self._log, self._events, self._registry, self._progress, self._turns
        )

    async def _tend_all(self, tasks: NamedTasks) -> None:
        tasks.ensure("sweep", self._sweep)
        if not self._indexed:
            await self._store.ensure_indexes(self._views)
            self._indexed = True
        for view in self._views:
            await self._tend(view, tasks)

    async def _tend(self, view: View, tasks: NamedTasks) -> None:
        generations = await self._store.generations(view.name)
        followed = [
            g for g in generations if g.version == view.version and g.state in ("following", "serving")
        ]
        for generation in followed:
            projector = Projector(view, generation, self._store, self._registry, self._progress)
            tasks.ensure(
                generation.group,
                partial(follow, view, generation, projector, self._store, self._log, self._events),
            )
            # Its builder may have died before the switch.
            await self._store.switch(generation)
        serving = max((g.version for g in generations if g.state == "serving"), default=0)
        if not followed and serving < view.version:
            tasks.ensure(f"rebuild-{view.name}", partial(self._rebuild, view))
        elif serving > view.version:
            # This is the older process of a rolling deploy: its rebuild would replace the new generation,
            # and so on.
            _logger.warning("projections.newer_version_serves", view=view.name, serving=serving)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._store.sweep()
                await self._store.drop_retired(KEEP_RETIRED_S)
            except Unavailable as away:
                _logger.warning("projections.sweep_failed", error=str(away))
            await asyncio.sleep(SWEEP_S)
