"""Runs a process manager: follows the log, drives its keys, watches its deadlines, parks failed keys.

Any number of processes may run the same one: they divide the log's partitions and the deadlines.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from commands.drivers import Drivers
from commands.follower import Follower
from commands.following import Due, ProcessManager
from commands.pipeline import Pipeline
from commands.process_ports import ParkedKey, ProcessPorts
from commands.reacting import Reactor
from domain.errors import LedgerError, Unavailable
from domain.lag import Lag
from domain.log import EventStore, Log
from domain.recorded import Recorded

log = structlog.get_logger(__name__)

DEADLINES_S = 0.25
"""The interval at which passed deadlines are looked for."""
DEADLINES_AT_ONCE = 100
_AWAY_S = 1.0
MAX_ERROR = 2_000
"""Characters kept of the error of a parked key."""


class Stopped(Exception):
    """The error policy of a process manager ended the process at this input."""


class Process:
    """One process manager over a profile's ports."""

    def __init__(
        self,
        manager: ProcessManager[Any],
        log: Log,
        store: EventStore,
        ports: ProcessPorts,
        pipeline: Pipeline,
    ) -> None:
        self.name = manager.name
        self._manager = manager
        self._ports = ports
        self._reactor = Reactor(manager, ports, pipeline)
        self._drivers: Drivers[Recorded | Due] = Drivers(self._drive)
        self._follower = Follower(
            manager.name, manager.categories, log, store, self._hand_out, self._drivers.forget_waiting
        )
        self._parked: set[str] = set()
        self._due: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Run until cancelled. Parked keys are replayed once at the start: a newer version may handle them.

        Raises Stopped (in a group) if the manager's error policy demands it.
        """
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._replay_at_start())
            loops.create_task(self._drivers.run())
            loops.create_task(self._watch_deadlines())
            loops.create_task(self._follower.run())

    async def lag(self, now: datetime) -> Lag | None:
        """Return the lag of this process, None before it has seen any event. Raises Unavailable."""
        return await self._follower.lag(now)

    async def parked(self) -> list[ParkedKey]:
        """Return the keys and deadlines that failed and wait for a replay. Raises Unavailable."""
        return await self._ports.parked.list(self.name)

    async def replay(self) -> dict[str, str | None]:
        """Handle the events of each parked key; None = healed, else the error. Raises Unavailable.

        A running process retries the failed deadlines.
        """
        parked = [key for key in await self.parked() if key.kind is None]
        await self._ports.deadlines.retry_parked(self.name)
        return {key.key: await self._replay_key(key) for key in parked}

    async def _replay_key(self, parked: ParkedKey) -> str | None:
        manager, after, up_to = self._manager, parked.position - 1, parked.up_to
        while True:
            page = await self._ports.histories.read_key(
                parked.key, manager.categories, manager.types, after, up_to
            )
            for recorded in page:
                try:
                    await self._reactor.take(recorded)
                except Exception as error:
                    if manager.verdict(error) == "retry":
                        raise
                    return await self._park(recorded, error)
                after = recorded.position
            if page:
                continue
            if await self._ports.parked.unpark(self.name, parked.key, up_to):
                return None
            waiting = [key for key in await self.parked() if key.key == parked.key and key.kind is None]
            if not waiting:
                return None
            up_to = waiting[0].up_to

    async def _replay_at_start(self) -> None:
        while True:
            try:
                for key, error in (await self.replay()).items():
                    log.info("process.replayed", manager=self.name, key=key, error=error)
            except LedgerError as away:
                log.warning("process.replay_waits", manager=self.name, error=repr(away))
                await asyncio.sleep(_AWAY_S)
            else:
                return

    async def _hand_out(self, events: Sequence[Recorded], done: Callable[[], None]) -> None:
        by_key: defaultdict[str, list[Recorded]] = defaultdict(list)
        for recorded in events:
            if self._manager.takes(recorded):
                by_key[recorded.partition_key].append(recorded)
            else:
                done()
        if by_key:
            self._parked |= await self._ports.parked.among(self.name, by_key)
        for key, some in by_key.items():
            for recorded in some:
                self._drivers.give(key, recorded, done)

    async def _drive(self, key: str, cause: Recorded | Due) -> bool:
        try:
            if isinstance(cause, Recorded) and await self._waits(key, cause):
                return True
            await self._reactor.take(cause)
        except Exception as error:
            match self._manager.verdict(error):
                case "retry":
                    log.warning("process.retries", manager=self.name, key=key, error=repr(error))
                    return False
                case "stop":
                    raise Stopped(f"{self.name} stops at {key}: {error}") from error
                case "park":
                    return await self._parks(cause, error)
        return True

    async def _waits(self, key: str, recorded: Recorded) -> bool:
        """Return True if the event waits behind a parked one."""
        if key not in self._parked:
            return False
        if await self._ports.parked.extend(self.name, key, recorded.position):
            return True
        self._parked.discard(key)
        return False

    async def _parks(self, cause: Recorded | Due, error: Exception) -> bool:
        try:
            await self._park(cause, error)
        except Unavailable:
            return False
        return True

    async def _park(self, cause: Recorded | Due, error: Exception) -> str:
        code = error.code if isinstance(error, LedgerError) else type(error).__name__
        text = f"{code}: {error}".replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
        text = text[:MAX_ERROR]
        if isinstance(cause, Due):
            await self._ports.deadlines.park(self.name, cause, text)
            log.error(
                "process.deadline_parked", manager=self.name, key=cause.key, kind=cause.kind, error=text
            )
            return text
        key = cause.partition_key
        await self._ports.parked.park(self.name, key, cause.position, f"{cause.type}: {text}")
        self._parked.add(key)
        log.error("process.parked", manager=self.name, key=key, position=cause.position, error=text)
        return text

    async def _watch_deadlines(self) -> None:
        while True:
            wait_s = DEADLINES_S
            try:
                room = DEADLINES_AT_ONCE - len(self._due)
                for due in await self._ports.deadlines.claim(self.name, room) if room > 0 else ():
                    if (name := (due.key, due.kind)) not in self._due:
                        self._due.add(name)
                        self._drivers.give(due.key, due, lambda name=name: self._due.discard(name))
            except Unavailable:
                wait_s = _AWAY_S
            await asyncio.sleep(wait_s)
