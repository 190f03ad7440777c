"""A process manager for tests, whose events say what it does, over a real store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

from adapters.postgres.access import Access
from adapters.postgres.processes import process_ports
from adapters.postgres.snapshots import PostgresSnapshots
from commands.following import Cause, ClearDeadline, Due, ProcessManager, Send, SetDeadline
from commands.issue import Caller
from commands.pipeline import Pipeline
from commands.process import Process
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.log import Log, Slice
from domain.recorded import Recorded
from tests.servers.ledgers import Ledger, an_event, open_ledger, told_by
from tests.servers.relays import open_log
from tests.unit.commands.memory import MemoryArtefacts
from tests.unit.domain import tracks as t

TOY = Caller("service:toy", frozenset({"producer"}))
WITHIN_S = 60


@dataclass
class Toy:
    """A process manager whose events say what it does, and what came of it."""

    broken: bool = False
    handled: list[tuple[str, int]] = field(default_factory=list)
    """(key, number) of each event that took effect."""
    fired: list[Due] = field(default_factory=list)

    def evolve(self, state: tuple[int, ...], recorded: Recorded) -> tuple[int, ...]:
        return (*state, recorded.data["n"])

    def react(self, state: tuple[int, ...], cause: Cause) -> Sequence[object]:
        if isinstance(cause, Due):
            if self.broken:
                raise ValueError("the deadline cannot be handled")
            return (cause, *((SetDeadline("later", 0.0),) if cause.kind == "again" else ()))
        if self.broken and cause.data.get("poison"):
            raise ValueError("this event cannot be handled")
        assert state == tuple(range(1, len(state) + 1)), f"{cause.partition_key} came to {state}"
        sends = [self._upload(cause, n) for n in range(cause.data.get("uploads", 0))]
        sets = [SetDeadline(kind, after_s) for kind, after_s in cause.data.get("deadlines", {}).items()]
        clears = [ClearDeadline(kind) for kind in cause.data.get("clears", ())]
        return (*sends, *sets, *clears, (cause.partition_key, cause.data["n"]))

    def _upload(self, recorded: Recorded, number: int) -> Send:
        track = uuid5(recorded.stream, f"{recorded.data['n']}:{number}")
        return Send(t.upload(track_id=track), uuid5(track, "UploadTrack"))

    async def perform(self, effect: tuple[str, int] | Due) -> None:
        self.fired.append(effect) if isinstance(effect, Due) else self.handled.append(effect)

    @property
    def manager(self) -> ProcessManager[tuple[int, ...]]:
        return ProcessManager(
            name="toy",
            categories=frozenset({"track"}),
            types=frozenset({"track.toy"}),
            caller=TOY,
            initial=(),
            evolve=self.evolve,
            react=self.react,
            perform=self.perform,
        )

    def numbers(self, key: UUID) -> list[int]:
        """The events of a key that took effect, each once."""
        return list(dict.fromkeys(n for k, n in self.handled if k == str(key)))


@dataclass(frozen=True)
class House:
    """The parts of one process."""

    ledger: Ledger
    log: Log
    pipeline: Pipeline

    def process(self, toy: Toy) -> Process:
        ports = process_ports(self.ledger.pool)
        return Process(toy.manager, self.log, self.ledger.store, ports, self.pipeline)

    async def tell(self, key: UUID, n: int, **data: Any) -> None:
        event = replace(an_event({"n": n, **data}), type="track.toy")
        await self.ledger.store.append([Slice(key, n - 1, "track", str(key), (event,))], told_by())


@asynccontextmanager
async def house(access: Access, kafka: str | None) -> AsyncGenerator[House]:
    async with open_ledger(access.serving) as ledger:
        log = ledger.log if kafka is None else await open_log(ledger, kafka)
        states = States(ledger.store, PostgresSnapshots(ledger.pool))
        handlers = track_handlers(Versions(MemoryArtefacts()))
        yield House(ledger, log, Pipeline(ledger.store, states, handlers, log.shard_of))
        await states.close()


async def until(true: Callable[[], Awaitable[bool] | bool], of: str = "it") -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        answer = true()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, f"{of} did not come within {WITHIN_S} s"
        await asyncio.sleep(0.02)
