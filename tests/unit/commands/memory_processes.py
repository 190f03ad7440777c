"""Parked keys, deadlines and histories of keys in memory, with the semantics of their ports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from commands.following import Due, SetDeadline
from commands.process_ports import ParkedKey, ProcessPorts
from domain.errors import Unavailable
from domain.recorded import Recorded
from tests.unit.commands.memory import NOON, MemoryStore


class MemoryParkedKeys:
    """Parked keys by (manager, key)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], ParkedKey] = {}

    async def park(self, manager: str, key: str, position: int, error: str) -> None:
        known = self.rows.get((manager, key))
        up_to = max(position, known.up_to if known else 0)
        self.rows[manager, key] = ParkedKey(key, position, up_to, error, NOON)

    async def extend(self, manager: str, key: str, up_to: int) -> bool:
        if (row := self.rows.get((manager, key))) is None:
            return False
        self.rows[manager, key] = ParkedKey(key, row.position, max(row.up_to, up_to), row.error, NOON)
        return True

    async def among(self, manager: str, keys: Collection[str]) -> set[str]:
        return {key for key in keys if (manager, key) in self.rows}

    async def unpark(self, manager: str, key: str, up_to: int) -> bool:
        row = self.rows.get((manager, key))
        return row is not None and row.up_to <= up_to and bool(self.rows.pop((manager, key)))

    async def list(self, manager: str) -> list[ParkedKey]:
        return sorted(
            (row for (name, _), row in self.rows.items() if name == manager), key=lambda r: r.position
        )


class MemoryDeadlines:
    """Deadlines by (key, kind); `now` is the clock."""

    def __init__(self) -> None:
        self.now: datetime = NOON
        self.rows: dict[tuple[str, str], Due] = {}
        self.parked: dict[tuple[str, str], str] = {}

    async def set(
        self, manager: str, key: str, cause: Recorded | Due, deadlines: Sequence[SetDeadline]
    ) -> None:
        at = cause.due_at if isinstance(cause, Due) else cause.recorded_at
        turn = cause.turn + 1 if isinstance(cause, Due) else 0
        for deadline in deadlines:
            due_at = min(at, self.now) + timedelta(seconds=deadline.after_s)
            row = self.rows.get((key, deadline.kind))
            if row is None or (row.position, row.turn) < (cause.position, turn):
                self.rows[key, deadline.kind] = Due(
                    key,
                    deadline.kind,
                    due_at,
                    cause.position,
                    turn,
                    cause.event_id,
                    cause.correlation_id,
                    cause.traceparent,
                )

    async def clear(self, manager: str, key: str, cause: Recorded | Due, kinds: Sequence[str]) -> None:
        for kind in kinds:
            row = self.rows.get((key, kind))
            if row is not None and row.position <= cause.position:
                del self.rows[key, kind]

    async def claim(self, manager: str, limit: int) -> list[Due]:
        passed = [
            row for name, row in self.rows.items() if row.due_at <= self.now and name not in self.parked
        ]
        return sorted(passed, key=lambda due: due.due_at)[:limit]

    async def finish(self, manager: str, due: Due) -> None:
        if self.rows.get((due.key, due.kind)) == due:
            del self.rows[due.key, due.kind]

    async def park(self, manager: str, due: Due, error: str) -> None:
        self.parked[due.key, due.kind] = error

    async def retry_parked(self, manager: str) -> int:
        count = len(self.parked)
        self.parked.clear()
        return count


class MemoryHistories:
    """Histories over the store in memory; `reads` are the keys that were read, `away` how often it fails."""

    def __init__(self, store: MemoryStore, page: int = 200) -> None:
        self._store = store
        self._page = page
        self.reads: list[str] = []
        self.away = 0

    async def read_key(
        self,
        key: str,
        categories: Collection[str],
        types: Collection[str] | None,
        after: int,
        up_to: int | None,
    ) -> list[Recorded]:
        if self.away:
            self.away -= 1
            raise Unavailable("Postgres can't be reached")
        self.reads.append(key)
        return [
            recorded
            for recorded in self._store.log[after : up_to if up_to is not None else None]
            if recorded.partition_key == key
            and recorded.category in categories
            and (types is None or recorded.type in types)
        ][: self._page]


def memory_ports(store: MemoryStore) -> ProcessPorts:
    """Return ports over the store in memory."""
    return ProcessPorts(MemoryParkedKeys(), MemoryDeadlines(), MemoryHistories(store))
