"""What a stream is: its category, its events, and the pure functions that decide on it and fold it.

To add a kind of stream: write its events and its fold in a folder of its own (domain/track is the example),
make its `Decider`, and add that to domain/deciders.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, get_args
from uuid import UUID

from domain.command import Command
from domain.known_types import known
from domain.registry import Event, EventType

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Decider(Generic[S]):
    """A kind of stream: the state before its first event, and the functions that decide on it and fold it.

    `topic` carries its events: categories whose events must be read in one order share a topic. `folds` is
    the closed union that `evolve` matches, `events` its members under their registered names, and `commands`
    the members of the union of its commands. `decide` serves the commands that need no other stream.
    `state` is the type that snapshots are decoded as (a msgspec type); snapshots and cached states are kept
    under `fold` and `fold_version`, so two folds of one category do not meet.
    """

    category: str
    initial: S
    evolve: Callable[[S, Any], S]
    decide: Callable[[S, Any], tuple[Event, ...]]
    state: Any
    fold_version: int
    topic: str
    folds: Any
    events: tuple[EventType, ...]
    commands: tuple[type[Command], ...] = ()
    fold: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for an event without a name, without a fold, or named after another category."""
        known(self.state)
        if not self.fold:
            object.__setattr__(self, "fold", self.category)
        named, folded = {kind.shape for kind in self.events}, set(get_args(self.folds) or (self.folds,))
        if lacking := sorted(shape.__name__ for shape in named ^ folded):
            raise ValueError(f"events of {self.category} without a fold or without a name: {lacking}")
        if foreign := [kind.name for kind in self.events if kind.category != self.category]:
            raise ValueError(f"events of {self.category} named after another category: {foreign}")

    def at(self, stream: UUID, partition_key: str) -> Target[S]:
        """Return one stream of this kind as a command's target."""
        return Target(self, stream, partition_key)


@dataclass(frozen=True, slots=True)
class Target(Generic[S]):
    """A stream that a command is decided on: it is loaded, and the append checks that it has not moved."""

    decider: Decider[S]
    stream: UUID
    partition_key: str


class TargetStates:
    """The states of a command's targets, as they were loaded: `states[target]`."""

    def __init__(self, states: Mapping[UUID, Any]) -> None:
        self._states = states

    def __getitem__(self, target: Target[S]) -> S:
        """Return the target's state. Raises KeyError for a stream that the command did not name."""
        return self._states[target.stream]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command makes happen: events by stream, to be recorded together, until `not_after` if given.

    A target without events is asserted: the append is refused when its stream has moved since it was loaded.
    """

    events: Mapping[UUID, tuple[Event, ...]] = field(default_factory=dict[UUID, tuple[Event, ...]])
    not_after: datetime | None = None
