"""The write side over memory, and ways to happen to it."""

from __future__ import annotations

from typing import Any

from commands.handler import Handlers
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.command import Command
from domain.track import commands as c
from tests.unit.commands.memory import NOON, MemoryArtefacts, MemorySnapshots, MemoryStore
from tests.unit.domain import tracks as t

ADA = Caller("user:ada", frozenset({"producer"}))


class House:
    """A pipeline over memory, with ways to happen to it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.snapshots = MemorySnapshots()
        self.artefacts = MemoryArtefacts()
        self.versions = Versions(self.artefacts, "1.2.0", clock=lambda: NOON)
        self.handlers = track_handlers(self.versions)
        self.pipeline = self.another()

    def another(self, table: Handlers | None = None) -> Pipeline:
        """A process more on the same store: nothing cached."""
        states = States(self.store, self.snapshots)
        shards = lambda category, key: f"{category}/{key[-1]}"  # noqa: E731
        return Pipeline(self.store, states, table or self.handlers, shards)

    async def given_a_track(self) -> None:
        await self.issue(t.upload())

    async def issue(self, command: Command, prepare: Any = None, **issue: Any) -> Answer:
        return await self.pipeline.execute(command, Issue(ADA, **issue), prepare)

    def losing(self, times: int):
        """A `prepare` during which somebody else describes the track, the first `times` times."""
        prepared: list[object] = []

        async def prepare(state: Any, command: Command) -> Command:
            if len(prepared) < times:
                title = f"theirs {len(prepared)}"
                await self.another().execute(
                    c.DescribeTrack(track_id=t.TRACK, title=title), Issue(Caller("user:bob", ADA.roles))
                )
            prepared.append(state)
            return command

        return prepare, prepared

    def types(self) -> list[str]:
        return [recorded.type for recorded in self.store.log]
