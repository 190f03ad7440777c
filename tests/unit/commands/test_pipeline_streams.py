"""A command over several streams: the append checks all it looked at, its answer names every shard."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from commands.handler import Handler, merged
from commands.issue import Answer, Issue
from commands.states import States
from domain.consistency import decode_token
from domain.decider import Decision, TargetStates
from domain.errors import Expired, Rejected, Stale
from domain.log import CommandKey
from domain.track import events as e
from tests.unit.commands.ensemble import CONDUCTOR, ENSEMBLE, HORN, PLAYER, VIOLIN, Count, Play, Tune, player
from tests.unit.commands.house import ADA, House
from tests.unit.commands.memory import NOON

pytestmark = pytest.mark.anyio

KEY = UUID(int=77)


@pytest.fixture
def house() -> House:
    house = House()
    house.handlers = ENSEMBLE
    house.pipeline = house.another()
    return house


def titles(house: House, stream: UUID = CONDUCTOR) -> list[str]:
    return [recorded.data["title"] for recorded in house.store.log if recorded.stream == stream]


async def test_every_stream_that_a_decision_looked_at_is_in_the_append(house: House):
    answer = await house.issue(Play())
    assert (answer.revision, answer.position, answer.body) == (1, 1, {"title": "a piece"})
    assert house.store.asserted == [VIOLIN, HORN]


async def test_all_streams_are_read_in_one_round_trip(house: House, monkeypatch: pytest.MonkeyPatch):
    for stream in (VIOLIN, HORN, HORN):
        await house.issue(Tune(player=stream))
    house.pipeline = house.another()
    asked: list[dict[UUID, int]] = []
    read = house.store.read_streams

    async def counted(after: Any, *limit: Any) -> Any:
        asked.append(dict(after))
        return await read(after, *limit)

    monkeypatch.setattr(house.store, "read_streams", counted)
    await house.issue(Play())
    assert asked == [{CONDUCTOR: 0, VIOLIN: 0, HORN: 0}]
    assert titles(house) == ["a piece, 3"]


async def test_a_writer_on_an_asserted_stream_makes_the_command_decide_again(house: House):
    raced = 0

    async def prepare(state: Count, command: Play) -> Play:
        nonlocal raced
        if raced < 2:
            raced += 1
            await house.another().execute(Tune(player=HORN), Issue(ADA))
        return command

    answer = await house.issue(Play(), prepare)
    assert titles(house) == ["a piece, 2"]
    assert (answer.revision, answer.position) == (1, 3)


async def test_a_rule_that_a_racing_writer_broke_refuses_the_command(house: House):
    async def prepare(state: Count, command: Play) -> Play:
        if not titles(house, HORN):
            await house.another().execute(Tune(player=HORN), Issue(ADA))
        return command

    with pytest.raises(Rejected):
        await house.issue(Play(most=0), prepare)
    assert titles(house) == []


async def test_if_match_speaks_of_the_first_stream_alone(house: House):
    await house.issue(Tune(player=HORN))
    await house.issue(Play())
    with pytest.raises(Stale):
        await house.issue(Play(), if_match=frozenset({2}))
    answer = await house.issue(Play(), if_match=frozenset({1}))
    assert answer.revision == 2


async def test_the_time_limit_of_a_decision_reaches_the_append(house: House):
    with pytest.raises(Expired):
        await house.issue(Play(not_after=NOON - timedelta(seconds=1)), command_id=KEY)
    assert house.store.log == []
    await house.issue(Play(not_after=NOON), command_id=KEY)
    assert len(house.store.log) == 1


async def test_an_answer_names_every_shard_that_was_written(house: House):
    answer = await house.issue(Play(together=True))
    assert decode_token(answer.consistency_token) == {"track/5": 1, "track/6": 2, "track/7": 3}
    asserted = await house.issue(Play())
    assert decode_token(asserted.consistency_token) == {"track/5": 4}


@pytest.mark.parametrize("change", [{}, {"together": True}, {"conducted": False, "together": True}])
async def test_a_repeated_key_gives_the_same_answer_and_the_same_token(house: House, change: dict[str, Any]):
    await house.issue(Tune(player=VIOLIN))
    first = await house.issue(Play(**change), command_id=KEY)
    await house.issue(Tune(player=HORN))
    again = await house.another().execute(Play(**change), Issue(ADA, command_id=KEY))
    assert again == Answer(
        first.status, first.body, first.revision, first.position, first.consistency_token, True
    )
    assert first.revision == (0 if change.get("conducted") is False else 1)


async def test_an_answer_stored_before_tokens_named_shards_is_still_given(house: House):
    """Its command wrote one stream, so the shard is that of its last event."""
    await house.issue(Tune(player=VIOLIN), command_id=KEY)
    stored = house.store.answers[KEY]
    old = CommandKey(KEY, stored.fingerprint, 200, {})
    house.store.answers[KEY] = type(stored)(old.fingerprint, 200, old.body, 1, 1)
    again = await house.issue(Tune(player=VIOLIN), command_id=KEY)
    assert again.repeated
    assert decode_token(again.consistency_token) == {"track/6": 1}


async def test_states_that_the_caller_holds_are_not_loaded(house: House):
    for stream in (VIOLIN, HORN):
        await house.issue(Tune(player=stream))
    targets = [player(stream) for stream in (CONDUCTOR, VIOLIN, HORN)]
    held = await States(house.store, house.snapshots).load_all(targets)
    house.store.reads.clear()
    await house.pipeline.execute(Play(), Issue(ADA), known=held)
    assert house.store.reads == []
    assert titles(house) == ["a piece, 2"]


async def test_states_that_the_caller_holds_too_long_are_corrected(house: House):
    targets = [player(stream) for stream in (CONDUCTOR, VIOLIN, HORN)]
    held = await States(house.store, house.snapshots).load_all(targets)
    await house.issue(Tune(player=HORN))
    await house.pipeline.execute(Play(), Issue(ADA), known=held)
    assert titles(house) == ["a piece, 1"]


async def test_a_refusal_by_states_held_too_long_does_not_count(house: House):
    targets = [player(stream) for stream in (CONDUCTOR, VIOLIN, HORN)]
    held = await States(house.store, house.snapshots).load_all(targets)
    held[HORN] = type(held[HORN])(Count(1000), 0, 0)
    await house.pipeline.execute(Play(), Issue(ADA), known=held)
    assert titles(house) == ["a piece, 0"]


async def test_a_decision_sees_no_held_state_of_a_stream_it_did_not_name(house: House):
    """The append would not check it."""
    held = await States(house.store, house.snapshots).load_all([player(HORN)])

    def peek(states: TargetStates, command: Tune) -> Decision:
        return Decision({VIOLIN: (e.TrackDescribed(str(states[player(HORN)])),)})

    house.handlers = {Tune: Handler(lambda command: (player(VIOLIN),), peek)}
    with pytest.raises(KeyError):
        await house.another().execute(Tune(player=VIOLIN), Issue(ADA), known=held)
    assert house.store.log == []


async def test_a_second_fold_of_a_stream_has_a_state_of_its_own(house: House):
    await house.issue(Tune(player=HORN))
    states = States(house.store, house.snapshots)
    twice = replace(PLAYER, evolve=lambda state, event: Count(state.events + 10), fold="twice")
    assert (await states.load(player(HORN))).state == Count(1)
    assert (await states.load(twice.at(HORN, ""))).state == Count(10)
    assert (await states.load(player(HORN))).state == Count(1)


async def test_a_decision_for_a_stream_that_was_not_named_is_a_defect(house: House):
    stray = Handler(
        lambda command: (player(HORN),), lambda states, command: Decision({uuid4(): (e.TrackDescribed("x"),)})
    )
    house.handlers = {**ENSEMBLE, Play: stray}
    with pytest.raises(ValueError, match="streams the command does not target"):
        await house.another().execute(Play(), Issue(ADA))
    assert house.store.log == []


def test_a_command_with_two_handlers_is_refused():
    with pytest.raises(ValueError, match="two handlers: Tune, Play"):
        merged([PLAYER], ENSEMBLE, ENSEMBLE)


def test_a_command_without_a_handler_is_refused():
    with pytest.raises(ValueError, match="without a handler: Tune"):
        merged([PLAYER], {Play: ENSEMBLE[Play]})
