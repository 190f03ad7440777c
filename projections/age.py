"""How old a view's documents are, for readers: while the log is away, what is read falls behind."""

from __future__ import annotations

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


class Ages:
    """The age of each view's documents, looked up at most once a second, whatever the number of readers."""

    def __init__(self, store: DocumentStore, views: Mapping[str, View], events: EventStore) -> None:
        self._store = store
        self._views = views
        self._events = events
        self._known: dict[str, tuple[float, float]] = {}

    async def age_s(self, view: str) -> float:
        """Return for how many seconds an event of the view has waited to be seen; 0 = none waits."""
        now = time.monotonic()
        looked_at, age_s = self._known.get(view, (-REFRESH_S, 0.0))
        if now - looked_at < REFRESH_S:
            return age_s
        # Said before looking, so that of many readers one asks; an answer that fails leaves the last one.
        self._known[view] = (now, age_s)
        with suppress(Unavailable):
            self._known[view] = (now, await self._look(self._views[view]))
        return self._known[view][1]

    async def _look(self, view: View) -> float:
        standing = await self._store.standing(view.name)
        if standing is None:
            return 0.0
        reached = standing.watermarks.values()
        return (await lag(self._events, view.categories, reached, datetime.now(UTC))).seconds
