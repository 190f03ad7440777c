"""given(events).when(command).then(events): the shape of every decider test."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import pytest

from domain.errors import LedgerError
from domain.registry import Event
from domain.track import commands as c
from domain.track.decider import decide
from domain.track.state import INITIAL, Track, evolve


class Outcome:
    def __init__(self, state: Track, command: c.TrackCommand) -> None:
        self.state = state
        self.command = command

    def then(self, *expected: Event) -> None:
        assert decide(self.state, self.command) == expected

    def then_raises(self, error: type[LedgerError], rule: str | None = None) -> None:
        with pytest.raises(error) as raised:
            decide(self.state, self.command)
        assert getattr(raised.value, "rule", None) == rule


class Given:
    def __init__(self, events: Iterable[Event]) -> None:
        self.state = reduce(evolve, events, INITIAL)

    def when(self, command: c.TrackCommand) -> Outcome:
        return Outcome(self.state, command)


def given(*events: Event) -> Given:
    return Given(events)
