"""How each command is executed: the streams it is decided on, the decision, and the body of its answer.

To add a command on one stream: define it in the stream's `commands.py`, decide it in its `decider.py`, and
add a line with `on_stream` to the stream's table (commands/tracks.py). A command over several streams gets a
`Handler` of its own: `targets` names every stream that `decide` looks at, first the one of the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from domain.command import Command
from domain.decider import Decider, Decision, Target, TargetStates
from domain.registry import Event

S = TypeVar("S")
C = TypeVar("C", bound=Command)

Prepare = Callable[[S, C], Awaitable[C]]
"""Does the work that a decision needs done first (render, store) and returns the command with its results.

Called with the state of the command's first target, as the decision will see it: again after each lost race.
"""

Body = Callable[[C, tuple[Event, ...]], Mapping[str, Any]]
"""Makes the body of the answer from the command and its events."""


def empty_body(command: Command, events: tuple[Event, ...]) -> Mapping[str, Any]:
    """Return the body of an answer that says no more than where the stream stands."""
    return {}


@dataclass(frozen=True, slots=True)
class Handler(Generic[C]):
    """One command type: its target streams, the decision over their states, and its answer.

    All targets go into the append, with the events decided for them or as an assertion at the revision that
    was loaded: a decision relies on nothing that the append does not check. If-Match, revision and ETag of
    the answer are those of the first target. `incidental` names the fields that may differ between two
    issues of the same command: ids and measurements the server made, times, reasons.
    """

    targets: Callable[[C], Sequence[Target[Any]]]
    decide: Callable[[TargetStates, C], Decision]
    body: Body[C] = empty_body
    status: int = 200
    prepare: Prepare[Any, C] | None = None
    incidental: frozenset[str] = frozenset()


Handlers = Mapping[type[Command], Handler[Any]]


def on_stream(
    target: Callable[[C], Target[Any]],
    status: int = 200,
    body: Body[C] = empty_body,
    prepare: Prepare[Any, C] | None = None,
    incidental: frozenset[str] = frozenset(),
) -> Handler[C]:
    """Return the handler of a command that its target's decider decides alone."""

    def decide(states: TargetStates, command: C) -> Decision:
        on = target(command)
        return Decision({on.stream: on.decider.decide(states[on], command)})

    return Handler(lambda command: (target(command),), decide, body, status, prepare, incidental)


def merged(deciders: Iterable[Decider[Any]], *tables: Handlers) -> Handlers:
    """Return one table of all handlers.

    Raises ValueError for a command in two tables, and for a command of a decider that is in none.
    """
    table: dict[type[Command], Handler[Any]] = {}
    for part in tables:
        if twice := [command.__name__ for command in part if command in table]:
            raise ValueError(f"commands with two handlers: {', '.join(twice)}")
        table |= part
    commands = [command for decider in deciders for command in decider.commands]
    if missing := [command.__name__ for command in commands if command not in table]:
        raise ValueError(f"commands without a handler: {', '.join(missing)}")
    return table


def events_in_order(targets: Sequence[Target[Any]], decision: Decision) -> tuple[Event, ...]:
    """Return a decision's events in the order of the append. Raises ValueError for a stream not targeted."""
    streams = {target.stream for target in targets}
    if foreign := [stream for stream in decision.events if stream not in streams]:
        raise ValueError(f"a decision has events for streams the command does not target: {foreign}")
    return tuple(event for target in targets for event in decision.events.get(target.stream, ()))


def shards_written(
    targets: Sequence[Target[Any]], decision: Decision, shard_of: Callable[[str, str], str]
) -> dict[str, int]:
    """Return each shard the decision writes, and how far before the append's last event its last one stands.

    Without events: the first target's shard, at 0.
    """
    left = sum(len(decision.events.get(target.stream, ())) for target in targets)
    back: dict[str, int] = {}
    for target in targets:
        if written := len(decision.events.get(target.stream, ())):
            left -= written
            back[shard_of(target.decider.category, target.partition_key)] = left
    return back or {shard_of(targets[0].decider.category, targets[0].partition_key): 0}
