"""The shape of a process manager: pure functions over recorded events, run by `commands.process.Process`.

To add one: write `evolve(state, recorded)` and `react(state, cause)` beside its commands, build a
`ProcessManager` from them, and add one entry to app/process_list.py. Test it as given(events).when(event or
deadline).then(actions): tests/unit/commands/process_house.py.

Every input is handled at least once, in the order of its key. Therefore each result of a reaction must be
harmless when repeated: commands have ids derived from their content, effects are idempotent, and a deadline
set twice is one row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from commands.issue import Caller
from domain.command import Command
from domain.errors import Busy, RevisionConflict, Unavailable
from domain.recorded import Recorded

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Send:
    """Issue a command. `command_id` is derived from the content, so that a repetition is recognised."""

    command: Command
    command_id: UUID


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """React again `after_s` seconds after the causing event; replaces the key's deadline of the kind.

    An event recorded ahead of the database's clock counts from now.
    """

    kind: str
    after_s: float


@dataclass(frozen=True, slots=True)
class ClearDeadline:
    """Remove the key's deadline of this kind."""

    kind: str


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline that has passed. `position`, `event_id`, `correlation_id` are those of its source event.

    `turn` counts the deadlines derived from that event one after the other, from 0.
    """

    key: str
    kind: str
    due_at: datetime
    position: int
    turn: int
    event_id: UUID
    correlation_id: UUID
    traceparent: str | None


Cause = Recorded | Due
"""The inputs of a process manager."""

Verdict = Literal["retry", "park", "stop"]
"""The response to a failed input: retry with backoff, park its key and continue, or end the process."""


def retry_or_park(error: Exception) -> Verdict:
    """Retry while a store is unreachable or busy, or a race was lost; park the key on every other error."""
    return "retry" if isinstance(error, Unavailable | Busy | RevisionConflict) else "park"


async def no_effects(effect: Any) -> None:
    """Refuse every effect: this process manager returns only commands and deadlines."""
    raise TypeError(f"{type(effect).__name__} is neither a command nor a deadline, and there are no effects")


@dataclass(frozen=True, slots=True)
class ProcessManager(Generic[S]):
    """A process manager as data; each partition key has a state of its own.

    `name` is its consumer group and the owner of its rows; `types` names the events it handles, None = all
    of its categories. `react` gets the state with the event folded in and returns a sequence of Send,
    SetDeadline, ClearDeadline, or effects of its own (plain data), which `perform` executes. Effects are
    executed first, in the order given, then deadlines, and then the commands, many at once.
    """

    name: str
    categories: frozenset[str]
    types: frozenset[str] | None
    caller: Caller
    initial: S
    evolve: Callable[[S, Recorded], S]
    react: Callable[[S, Cause], Sequence[object]]
    perform: Callable[[Any], Awaitable[None]] = no_effects
    verdict: Callable[[Exception], Verdict] = retry_or_park

    def takes(self, recorded: Recorded) -> bool:
        """Return True if it handles this event of its categories."""
        return self.types is None or recorded.type in self.types
