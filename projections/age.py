"""The age of a view's documents: while the log is unreachable, reads fall behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from domain.errors import Unavailable
from domain.lag import lag
from domain.log import EventStore
from projections.documents import DocumentStore
from projections.view import View

REFRESH_S = 1.0
PATIENCE_S = 0.2


class Ages:
    """The age of each view's documents, read at most once a second, however many readers there are."""

    def __init__(self, store: DocumentStore, views: Mapping[str, View], events: EventStore) -> None:
        self._store = store
        self._views = views
        self._events = events
        self._known: dict[str, tuple[float, float]] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def age_s(self, view: str) -> float:
        """Return the seconds for which an event of the view has waited to be folded; 0 = none waits."""
        now = time.monotonic()
        looked_at, age_s = self._known.get(view, (-REFRESH_S, 0.0))
        if now - looked_at >= REFRESH_S:
            # Set before the read, so that only one of many readers reads it.
            self._known[view] = (now, age_s)
            looking = asyncio.create_task(self._refresh(view))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
            # A store that is silent for seconds must not delay a page: readers then get the last age.
            await asyncio.wait([looking], timeout=PATIENCE_S)
        return self._known[view][1]

    async def _refresh(self, view: str) -> None:
        with suppress(Unavailable):  # keep the last age
            self._known[view] = (self._known[view][0], await self._look(self._views[view]))

    async def _look(self, view: View) -> float:
        standing = await self._store.standing(view.name)
        if standing is None:
            return 0.0
        reached = standing.watermarks.values()
        return (await lag(self._events, view.categories, reached, datetime.now(UTC))).seconds
