"""given(events).when(command).then(events): the shape of every decider test, for any decider."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import pytest

from domain.command import Command
from domain.decider import Decider
from domain.errors import LedgerError
from domain.registry import Event
from domain.track.decider import TRACK


class Outcome:
    def __init__(self, decider: Decider[Any], state: Any, command: Command) -> None:
        self.decide = decider.decide
        self.state = state
        self.command = command

    def then(self, *expected: Event) -> None:
        assert self.decide(self.state, self.command) == expected

    def then_raises(self, error: type[LedgerError], rule: str | None = None) -> None:
        with pytest.raises(error) as raised:
            self.decide(self.state, self.command)
        assert getattr(raised.value, "rule", None) == rule


class Given:
    def __init__(self, decider: Decider[Any], events: Iterable[Event]) -> None:
        self.decider = decider
        self.state = reduce(decider.evolve, events, decider.initial)

    def when(self, command: Command) -> Outcome:
        return Outcome(self.decider, self.state, command)


def specification(decider: Decider[Any]) -> Callable[..., Given]:
    """Return the `given` of a decider."""
    return lambda *events: Given(decider, events)


given = specification(TRACK)
