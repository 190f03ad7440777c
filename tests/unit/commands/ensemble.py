"""A command over three streams, for the tests: a conductor starts a piece while two players are ready."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, assert_never
from uuid import UUID

import msgspec

from commands.handler import Handler, on_stream
from domain.command import Command, Role
from domain.decider import Decider, Decision, Target, TargetStates
from domain.errors import Rejected
from domain.registry import Event, EventType
from domain.track import events as e

CONDUCTOR, VIOLIN, HORN = (UUID(int=n) for n in (101, 102, 103))


class Count(msgspec.Struct, frozen=True):
    """How many events a stream has."""

    events: int = 0


class Ensemble(Command):
    roles: ClassVar[frozenset[Role]] = frozenset({"producer"})


class Tune(Ensemble):
    """A player writes alone."""

    player: UUID


class Play(Ensemble):
    """The conductor writes and the players are asserted; `together` lets every player write too."""

    title: str = "a piece"
    together: bool = False
    conducted: bool = True
    not_after: datetime | None = None
    most: int = 100
    players: tuple[UUID, ...] = (VIOLIN, HORN)


def evolve(state: Count, event: e.TrackDescribed) -> Count:
    return Count(state.events + 1)


def decide(state: Count, command: Tune) -> tuple[Event, ...]:
    match command:
        case Tune():
            return (e.TrackDescribed("tuned"),)
        case _:
            assert_never(command)


PLAYER: Decider[Count] = Decider(
    "track",
    Count(),
    evolve,
    decide,
    Count,
    1,
    "track",
    e.TrackDescribed,
    (EventType("track.described", e.TrackDescribed),),
    (Tune,),
    fold="player",
)


def player(stream: UUID) -> Target[Count]:
    return PLAYER.at(stream, str(stream))


def play(states: TargetStates, command: Play) -> Decision:
    counted = sum(states[player(stream)].events for stream in command.players)
    if counted > command.most:
        raise Rejected("too_much", f"the players have {counted} events")
    piece = (e.TrackDescribed(f"{command.title}, {counted}"),)
    writing = [*([CONDUCTOR] if command.conducted else []), *(command.players if command.together else ())]
    return Decision(dict.fromkeys(writing, piece), command.not_after)


ENSEMBLE: dict[type[Command], Handler[Any]] = {
    Tune: on_stream(lambda command: player(command.player)),
    Play: Handler(
        lambda command: tuple(player(stream) for stream in (CONDUCTOR, *command.players)),
        play,
        body=lambda command, events: {"title": command.title},
    ),
}
