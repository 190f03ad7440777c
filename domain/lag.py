"""The lag of a reader behind the log, in events and seconds, computed alike in both profiles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.log import EventStore


@dataclass(frozen=True, slots=True)
class Lag:
    """`events` counts those of the whole log not passed yet; `seconds` is the age of the oldest relevant one.

    A negative number of events: the reader is beyond the log's end. The event store was restored from an
    older copy, and the reader has applied events of a history that no longer exists.
    """

    events: int
    seconds: float

    @property
    def ahead(self) -> bool:
        """True if the reader is beyond the end of the log."""
        return self.events < 0

    def __str__(self) -> str:
        if self.ahead:
            return f"{-self.events} events ahead of the event store: see Restore in docs/operations.md"
        return f"{self.events} events, {self.seconds:.1f} s behind"


async def lag(
    events: EventStore, categories: Collection[str], reached: Collection[int], now: datetime
) -> Lag:
    """Return the lag of a reader of these categories whose shards have passed `reached`.

    Raises Unavailable.
    """
    head = await events.head()
    if (furthest := max(reached, default=0)) > head:
        return Lag(head - furthest, 0.0)
    behind = head - (passed := min(reached, default=0))
    oldest = await events.read_log(passed, 1, categories=categories) if behind else []
    return Lag(behind, max((now - oldest[0].recorded_at).total_seconds(), 0.0) if oldest else 0.0)
