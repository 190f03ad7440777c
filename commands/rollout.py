"""The rollout process manager's place in the log.

No event of a deployment is registered yet, so there is nothing to decide: it keeps its group's place, and an
event that only a newer version knows waits for that version instead of being passed by.
"""

from __future__ import annotations

from datetime import datetime

from commands.following import Follower
from domain.events import REGISTRY
from domain.lag import Lag
from domain.log import EventStore, Log
from domain.recorded import Recorded

GROUP = "rollout"
CATEGORIES = frozenset({"deployment", "member", "device", "lease"})


class Rollout:
    """Follows deployments, their members, devices and leases in the group `rollout`."""

    def __init__(self, log: Log, store: EventStore) -> None:
        self._follower = Follower(GROUP, CATEGORIES, log, store, self.handle)

    async def run(self) -> None:
        """Follow the log until cancelled."""
        await self._follower.run()

    async def lag(self, now: datetime) -> Lag | None:
        """Return how far this process is behind, None before it has seen anything. Raises Unavailable."""
        return await self._follower.lag(now)

    async def handle(self, recorded: Recorded) -> None:
        """Take one event in. Raises UnknownEvent."""
        REGISTRY.decode(recorded)
