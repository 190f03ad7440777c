"""The ports of running process managers: parked keys, deadlines, and the history of a key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from commands.following import Due, SetDeadline
from domain.recorded import Recorded


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key whose event at `position` failed; its events up to `up_to` wait for a replay.

    `kind` names the failed deadline, None = an event failed.
    """

    key: str
    position: int
    up_to: int
    error: str
    parked_at: datetime
    kind: str | None = None


class ParkedKeys(Protocol):
    """The parked keys of each process manager. Every method raises Unavailable."""

    async def park(self, manager: str, key: str, position: int, error: str) -> None:
        """Park a key at this event; a parked key keeps its waiting events, and gets position and error."""
        ...

    async def extend(self, manager: str, key: str, up_to: int) -> bool:
        """Make the events up to this one wait too; False if the key is not parked."""
        ...

    async def among(self, manager: str, keys: Collection[str]) -> set[str]:
        """Return which of these keys are parked."""
        ...

    async def unpark(self, manager: str, key: str, up_to: int) -> bool:
        """Unpark a key if no event after `up_to` waits; False if one does, or the key is not parked."""
        ...

    async def list(self, manager: str) -> list[ParkedKey]:
        """Return the parked keys, oldest event first, then the failed deadlines."""
        ...


class Deadlines(Protocol):
    """Durable timers of process managers, one for each key and kind. Every method raises Unavailable."""

    async def set(
        self, manager: str, key: str, cause: Recorded | Due, deadlines: Sequence[SetDeadline]
    ) -> None:
        """Set deadlines derived from this cause, unless the row derives from a later one."""
        ...

    async def clear(self, manager: str, key: str, cause: Recorded | Due, kinds: Sequence[str]) -> None:
        """Remove the deadlines of these kinds that derive from this cause or an earlier one."""
        ...

    async def claim(self, manager: str, limit: int) -> list[Due]:
        """Claim passed deadlines for a minute, earliest first, except those of parked keys."""
        ...

    async def finish(self, manager: str, due: Due) -> None:
        """Remove a deadline that took effect, unless it was set again."""
        ...

    async def park(self, manager: str, due: Due, error: str) -> None:
        """Set a failed deadline aside until `retry_parked`."""
        ...

    async def retry_parked(self, manager: str) -> int:
        """Make the failed deadlines claimable again; return how many."""
        ...


class KeyHistories(Protocol):
    """The events of one partition key, across its streams, in the order of the log."""

    async def read_key(
        self,
        key: str,
        categories: Collection[str],
        types: Collection[str] | None,
        after: int,
        up_to: int | None,
    ) -> list[Recorded]:
        """Return the next page of events with after < position <= up_to; empty = no more.

        Raises Unavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProcessPorts:
    """The ports that the process managers of a profile run on."""

    parked: ParkedKeys
    deadlines: Deadlines
    histories: KeyHistories
