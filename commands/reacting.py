"""Handles one input of a process manager: folds its key's state, reacts, and carries out the result."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from commands.following import ClearDeadline, Due, ProcessManager, Send, SetDeadline
from commands.issue import Issue
from commands.pipeline import Pipeline
from commands.process_ports import ProcessPorts
from domain.recorded import Recorded

S = TypeVar("S")

STATES = 256
"""Keys whose state is kept in memory; other states are folded again from their streams on demand."""
COMMANDS_AT_ONCE = 64
"""Commands of one reaction in progress at once: they share the event store's group commits."""


class Reactor(Generic[S]):
    """The reactions of one process manager. Two tasks must not use it for one key at once."""

    def __init__(self, manager: ProcessManager[S], ports: ProcessPorts, pipeline: Pipeline) -> None:
        self._manager = manager
        self._ports = ports
        self._pipeline = pipeline
        self._states: OrderedDict[str, tuple[int, S]] = OrderedDict()
        self._latest: OrderedDict[str, tuple[int, S]] = OrderedDict()

    async def take(self, cause: Recorded | Due) -> None:
        """Handle one input; it may be repeated. Raises the errors of evolve, react or an effect."""
        if isinstance(cause, Due):
            state = await self._state_now(cause.key)
            await self._carry_out(cause.key, cause, self._manager.react(state, cause))
            await self._ports.deadlines.finish(self._manager.name, cause)
            return
        key = cause.partition_key
        state = self._manager.evolve(await self._state_before(cause), cause)
        await self._carry_out(key, cause, self._manager.react(state, cause))
        _keep(self._states, key, (cause.position, state))

    async def _state_before(self, recorded: Recorded) -> S:
        key, empty = recorded.partition_key, (0, self._manager.initial)
        known = self._states.pop(key, empty)
        if 0 < known[0] < recorded.position:
            return known[1]
        if recorded.revision == 1 and str(recorded.stream) == key:
            return empty[1]
        # The state was evicted, or is newer than this repeated event.
        return (await self._folded(key, empty, recorded.position - 1))[1]

    async def _state_now(self, key: str) -> S:
        empty = (0, self._manager.initial)
        known = max(self._states.get(key, empty), self._latest.get(key, empty), key=itemgetter(0))
        now = await self._folded(key, known, None)
        _keep(self._latest, key, now)
        return now[1]

    async def _folded(self, key: str, known: tuple[int, S], up_to: int | None) -> tuple[int, S]:
        position, state = known
        read = self._ports.histories.read_key
        while page := await read(key, self._manager.categories, self._manager.types, position, up_to):
            for recorded in page:
                state = self._manager.evolve(state, recorded)
            position = page[-1].position
        return position, state

    async def _carry_out(self, key: str, cause: Recorded | Due, actions: Sequence[object]) -> None:
        name, deadlines = self._manager.name, self._ports.deadlines
        commands: list[Send] = []
        new: dict[str, SetDeadline] = {}
        over: list[str] = []
        for action in actions:
            match action:
                case Send():
                    commands.append(action)
                case SetDeadline():
                    new[action.kind] = action
                case ClearDeadline():
                    over.append(action.kind)
                case _:
                    await self._manager.perform(action)
        if over:
            await deadlines.clear(name, key, cause, over)
        if new:
            await deadlines.set(name, key, cause, list(new.values()))
        await self._send_all(cause, commands)

    async def _send_all(self, cause: Recorded | Due, commands: Sequence[Send]) -> None:
        """Issue commands, many at once; the first error is raised when all in progress have ended."""
        waiting = iter(commands)
        failures: list[Exception] = []

        async def send() -> None:
            for command in waiting:
                if failures:
                    return
                try:
                    await self._send(cause, command)
                except Exception as error:  # noqa: BLE001 - raised below, when all have ended
                    failures.append(error)

        async with asyncio.TaskGroup() as senders:
            for _ in range(min(COMMANDS_AT_ONCE, len(commands))):
                senders.create_task(send())
        if failures:
            raise failures[0]

    async def _send(self, cause: Recorded | Due, send: Send) -> None:
        issue = Issue(
            self._manager.caller,
            command_id=send.command_id,
            correlation_id=cause.correlation_id,
            causation_id=cause.event_id,
            traceparent=cause.traceparent,
        )
        await self._pipeline.execute(send.command, issue)


def _keep(states: OrderedDict[str, tuple[int, S]], key: str, state: tuple[int, S]) -> None:
    states[key] = state
    states.move_to_end(key)
    if len(states) > STATES:
        states.popitem(last=False)
