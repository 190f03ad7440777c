"""How far a reader is behind the log, in events and in seconds: the same subtraction in both profiles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.log import EventStore


@dataclass(frozen=True, slots=True)
class Lag:
    """`events` of the whole log are not passed yet; `seconds` is the age of the oldest that concerns us."""

    events: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.events} events, {self.seconds:.1f} s behind"


async def lag(events: EventStore, categories: Collection[str], reached: int, now: datetime) -> Lag:
    """Return how far a reader of these categories is behind that has passed `reached`. Raises Unavailable."""
    behind = max(await events.head() - reached, 0)
    oldest = await events.read_log(reached, 1, categories=categories) if behind else []
    return Lag(behind, max((now - oldest[0].recorded_at).total_seconds(), 0.0) if oldest else 0.0)
