"""given(events).when(event or deadline).then(actions): a process manager without a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from commands.following import Cause, Due, ProcessManager
from domain.recorded import Recorded

S = TypeVar("S")


@dataclass(frozen=True)
class Given(Generic[S]):
    """A process manager's key with the events it has seen."""

    manager: ProcessManager[S]
    events: tuple[Recorded, ...] = ()

    def given(self, events: Sequence[Recorded]) -> Given[S]:
        """Let these have happened, too."""
        return replace(self, events=(*self.events, *events))

    def when(self, cause: Cause) -> Then:
        """Let it react to an event, which is folded in first, or to a deadline."""
        state = self.manager.initial
        for recorded in self.events if isinstance(cause, Due) else (*self.events, cause):
            if self.manager.takes(recorded):
                state = self.manager.evolve(state, recorded)
        if isinstance(cause, Recorded) and not self.manager.takes(cause):
            return Then(())
        return Then(tuple(self.manager.react(state, cause)))


@dataclass(frozen=True)
class Then:
    """What a process manager asks for."""

    actions: tuple[object, ...]

    def then(self, *expected: Any) -> None:
        """Assert that it asks for these, in this order."""
        assert self.actions == expected


def a_process(manager: ProcessManager[S]) -> Given[S]:
    """Begin with a key that has seen nothing."""
    return Given(manager)
