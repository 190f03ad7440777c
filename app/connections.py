"""The places that connections take: how many there may be, and which one goes when there are too many."""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from app.settings import Settings

_MOST = 4096


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one connection may take in time, and all of them in number."""

    header_s: float
    body_window_s: float
    body_bytes_per_s: int
    body_s: float
    connections: int
    per_address: int


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits of the settings; the numbers come from the descriptors this process may open.

    Half of them are for connections, so that files, Postgres and the children never lack one.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    connections = settings.max_connections or max(16, min(_MOST, descriptors // 2))
    return HttpLimits(
        header_s=settings.header_seconds,
        body_window_s=settings.body_window_seconds,
        body_bytes_per_s=settings.body_bytes_per_second,
        body_s=settings.body_seconds,
        connections=connections,
        per_address=settings.max_connections_per_address or max(1, connections // 2),
    )


class Connection(Protocol):
    """A connection that can be ended at once."""

    @property
    def address(self) -> str:
        """The client's address, without its port."""
        ...

    def drop(self) -> None:
        """End it at once, without an answer."""
        ...


class Places:
    """The places of a server's connections; those that wait for a header go first when others need theirs."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self._taken: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}
        self._addresses: Counter[str] = Counter()

    def take(self, connection: Connection) -> bool:
        """Give the connection a place, if need be that of the one that has waited longest; say whether."""
        if self._addresses[connection.address] >= self.limits.per_address:
            place = self._free(connection.address)
        else:
            place = len(self._taken) < self.limits.connections or self._free(None)
        if place:
            self._taken[connection] = None
            self._addresses[connection.address] += 1
        return place

    def leave(self, connection: Connection) -> None:
        """Free the place of a connection, if it has one."""
        self._waiting.pop(connection, None)
        if connection in self._taken:
            del self._taken[connection]
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def waits(self, connection: Connection, waiting: bool) -> None:
        """Take note that the connection waits for a header, or no longer does."""
        if waiting and connection in self._taken:
            self._waiting.setdefault(connection)
        else:
            self._waiting.pop(connection, None)

    def _free(self, address: str | None) -> bool:
        oldest = next((c for c in self._waiting if address in (None, c.address)), None)
        if oldest is not None:
            self.leave(oldest)
            oldest.drop()
        return oldest is not None
