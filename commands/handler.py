"""What the pipeline has to know of a kind of stream, and of a command on it: see commands/tracks.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from domain.command import Command
from domain.known_types import known
from domain.registry import Event

S = TypeVar("S")
C = TypeVar("C", bound=Command)

Prepare = Callable[[S, C], Awaitable[C]]
"""Does what a decision needs done first (render, store) and returns the command with what came of it.

Called with the state the decision will be made on, so again after each lost race.
"""


@dataclass(frozen=True, slots=True)
class Decider(Generic[S, C]):
    """A kind of stream: its category, and the three functions that decide and fold it.

    `state` is the type snapshots are decoded as (a msgspec type), `fold_version` the one they are kept under.
    """

    category: str
    initial: S
    decide: Callable[[S, C], tuple[Event, ...]]
    evolve: Callable[[S, Event], S]
    state: Any
    fold_version: int

    def __post_init__(self) -> None:
        known(self.state)


@dataclass(frozen=True, slots=True)
class Handler(Generic[S, C]):
    """One command type: the stream it is decided on, and what its answer is.

    `incidental` names the fields that two issues of the same command may differ in: ids and measurements
    the server made, times, reasons.
    """

    decider: Decider[S, Any]
    stream: Callable[[C], UUID]
    partition_key: Callable[[C], str]
    body: Callable[[C, tuple[Event, ...]], Mapping[str, Any]]
    status: int = 200
    prepare: Prepare[S, C] | None = None
    incidental: frozenset[str] = frozenset()


Handlers = Mapping[type[Command], Handler[Any, Any]]
