"""The pipeline over a store in memory: what comes of commands, of races and of repetitions."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from commands.handler import on_stream
from commands.issue import Answer, Caller, Issue
from commands.pipeline import RETRIES, Pipeline, authorise
from commands.states import States
from domain.command import Command, Role
from domain.consistency import decode_token
from domain.errors import Forbidden, KeyReused, NotFound, Rejected, RevisionConflict, Stale, UnknownEvent
from domain.log import Metadata, NewEvent, Slice
from domain.track import commands as c
from domain.track.decider import TRACK
from tests.unit.commands.house import ADA, House
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

KEY = UUID(int=77)


@pytest.fixture
def house() -> House:
    return House()


def described(title: str = "New") -> c.DescribeTrack:
    return c.DescribeTrack(track_id=t.TRACK, title=title)


async def test_an_upload_answers_with_its_ids_and_place_in_the_log(house: House):
    answer = await house.issue(t.upload())
    assert (answer.status, answer.revision, answer.position) == (202, 2, 2)
    assert answer.body == {"track_id": str(t.TRACK), "job_id": str(t.JOB_1)}
    assert decode_token(answer.consistency_token) == {"track/1": 2}
    assert not answer.repeated
    assert house.types() == ["track.uploaded", "track.analysis_queued"]


async def test_every_event_says_who_and_why(house: House):
    await house.issue(
        t.upload(), command_id=KEY, correlation_id=UUID(int=5), causation_id=UUID(int=6), traceparent="00-x"
    )
    told = {(r.actor, r.command_id, r.correlation_id, r.causation_id, r.traceparent) for r in house.store.log}
    assert told == {("user:ada", KEY, UUID(int=5), UUID(int=6), "00-x")}
    assert len({r.event_id for r in house.store.log}) == 2
    assert {r.event_id.version for r in house.store.log} == {7}


async def test_a_command_without_a_correlation_starts_one_under_its_own_new_id(house: House):
    await house.issue(t.upload())
    first = house.store.log[0]
    assert first.correlation_id == first.command_id
    assert first.command_id.version == 7
    assert first.causation_id is None


async def test_an_analysis_request_answers_with_its_job(house: House):
    await house.given_a_track()
    await house.issue(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    answer = await house.issue(c.RequestAnalysis(track_id=t.TRACK))
    assert (answer.status, answer.body) == (202, {"job_id": str(t.JOB_2)})
    answer = await house.issue(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_2))
    assert (answer.status, answer.body) == (200, {})
    answer = await house.issue(c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_2))
    assert answer.status == 202
    assert answer.body != {"job_id": str(t.JOB_2)}


async def test_a_command_that_changes_nothing_appends_nothing(house: House):
    await house.given_a_track()
    answer = await house.issue(described("Song"))
    assert (answer.status, answer.revision, answer.position) == (200, 2, 2)
    assert decode_token(answer.consistency_token) == {"track/1": 2}
    assert house.store.appends == 1


async def test_a_key_that_changed_nothing_takes_no_effect_later(house: House):
    await house.given_a_track()
    first = await house.issue(described("Song"), command_id=KEY)
    await house.issue(described("Other"))
    again = await house.issue(described("Song"), command_id=KEY)
    assert again == Answer(**{**vars_of(first), "repeated": True})
    assert (again.status, again.revision) == (200, 2)
    assert house.store.log[-1].data == {"title": "Other"}
    with pytest.raises(KeyReused):
        await house.issue(described("Else"), command_id=KEY)


async def test_an_unknown_track_is_not_found_even_with_a_revision(house: House):
    with pytest.raises(NotFound):
        await house.issue(described(), if_match=frozenset({4}))


async def test_a_refused_command_leaves_nothing(house: House):
    await house.given_a_track()
    with pytest.raises(Rejected):
        await house.issue(c.RequestAnalysis(track_id=t.TRACK), command_id=KEY)
    assert len(house.store.log) == 2
    assert house.store.answers == {}


async def test_the_rule_may_allow_later_what_it_refused_under_the_same_key(house: House):
    """Rejections are not stored."""
    await house.given_a_track()
    with pytest.raises(Rejected):
        await house.issue(c.RequestAnalysis(track_id=t.TRACK), command_id=KEY)
    await house.issue(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1))
    answer = await house.issue(c.RequestAnalysis(track_id=t.TRACK), command_id=KEY)
    assert answer.status == 202


# Who may


class Operated(Command):
    roles: ClassVar[frozenset[Role]] = frozenset({"operator"})


@pytest.mark.parametrize(
    ("command", "roles", "allowed"),
    [
        (c.DescribeTrack, {"producer"}, True),
        (c.DescribeTrack, {"admin"}, True),
        (c.DescribeTrack, {"viewer", "auditor", "operator", "device"}, False),
        (c.StartAnalysis, {"service"}, True),
        (c.StartAnalysis, {"admin", "producer"}, False),
        (Operated, {"admin"}, True),
        (Operated, {"producer"}, False),
    ],
)
async def test_roles_decide_who_may(command: type[Command], roles: set[Role], allowed: bool):
    caller = Caller("user:x", frozenset(roles))
    if allowed:
        authorise(command, caller)
    else:
        with pytest.raises(Forbidden, match=command.__name__):
            authorise(command, caller)


async def test_a_forbidden_command_reads_nothing(house: House):
    await house.given_a_track()
    house.store.reads.clear()
    viewer = Caller("user:eve", frozenset({"viewer"}))
    with pytest.raises(Forbidden):
        await house.pipeline.execute(described(), Issue(viewer))
    assert house.store.reads == []


# If-Match


async def test_the_revision_last_seen_lets_a_command_through(house: House):
    await house.given_a_track()
    assert (await house.issue(described(), if_match=frozenset({2}))).revision == 3


async def test_one_of_several_revisions_lets_a_command_through(house: House):
    await house.given_a_track()
    assert (await house.issue(described(), if_match=frozenset({1, 2}))).revision == 3


@pytest.mark.parametrize("if_match", [{1}, {3}, {1, 3}, set()])
async def test_another_revision_is_stale(house: House, if_match: set[int]):
    await house.given_a_track()
    with pytest.raises(Stale) as stale:
        await house.issue(described(), if_match=frozenset(if_match))
    assert (stale.value.expected, stale.value.actual) == (if_match, 2)
    assert len(house.store.log) == 2


async def test_a_race_lost_with_a_revision_given_is_stale_at_once(house: House):
    await house.given_a_track()
    prepare, prepared = house.losing(1)
    with pytest.raises(Stale) as stale:
        await house.issue(described(), prepare, if_match=frozenset({2}))
    assert stale.value.actual == 3
    assert len(prepared) == 1


# Races


async def test_a_lost_race_is_prepared_and_decided_again_on_the_new_state(house: House):
    await house.given_a_track()
    prepare, prepared = house.losing(RETRIES)
    answer = await house.issue(described(), prepare)
    assert [state.profile.title for state in prepared] == ["Song", "theirs 0", "theirs 1", "theirs 2"]
    assert answer.revision == 2 + RETRIES + 1
    assert house.store.log[-1].data == {"title": "New"}


async def test_commands_of_one_process_that_prepare_queue_up_and_prepare_once(house: House):
    await house.given_a_track()
    prepared: list[int] = []

    async def prepare(state: Any, command: Command) -> Command:
        prepared.append(len(house.store.log))
        for _ in range(10):  # long enough for all others to load the same state, if nothing held them
            await asyncio.sleep(0)
        return command

    answers = await asyncio.gather(*(house.issue(described(f"title {n}"), prepare) for n in range(10)))
    assert sorted(answer.revision for answer in answers) == list(range(3, 13))
    assert prepared == list(range(2, 12))


async def test_the_fourth_lost_race_is_the_callers_to_know(house: House):
    await house.given_a_track()
    prepare, prepared = house.losing(RETRIES + 1)
    with pytest.raises(RevisionConflict):
        await house.issue(described(), prepare)
    assert len(prepared) == RETRIES + 1
    assert house.store.log[-1].data == {"title": "theirs 3"}


async def test_a_race_lost_to_what_makes_the_command_pointless_appends_nothing(house: House):
    await house.given_a_track()
    prepare, _ = house.losing(1)
    answer = await house.issue(described("theirs 0"), prepare)
    assert answer.revision == 3


# Repetitions


async def test_a_repeated_key_gives_the_first_answer(house: House):
    await house.given_a_track()
    first = await house.issue(described(), command_id=KEY)
    await house.issue(described("Other"))
    again = await house.issue(described(), command_id=KEY)
    assert again.repeated
    assert again == Answer(**{**vars_of(first), "repeated": True})
    assert house.store.log[-1].data == {"title": "Other"}


async def test_a_repetition_is_answered_though_its_revision_is_stale_by_now(house: House):
    await house.given_a_track()
    await house.issue(described(), command_id=KEY, if_match=frozenset({2}))
    assert (await house.issue(described(), command_id=KEY, if_match=frozenset({2}))).repeated


async def test_a_repeated_upload_gives_the_first_track_and_the_first_shard(house: House):
    """Every issue of an upload makes a track id of its own."""
    first = await house.issue(t.upload(), command_id=KEY)
    other = UUID("01900000-0000-7000-8000-000000000002")
    again = await house.issue(t.upload(track_id=other, duration_ms=59_999.0), command_id=KEY)
    assert again.body["track_id"] == str(t.TRACK)
    assert decode_token(again.consistency_token) == {"track/1": 2}
    assert first.consistency_token == again.consistency_token


@pytest.mark.parametrize("change", [{"title": "Else"}, {"audio_sha256": "f" * 64}, {"tags": ()}])
async def test_a_key_used_for_another_upload_is_refused(house: House, change: dict[str, Any]):
    await house.issue(t.upload(), command_id=KEY)
    with pytest.raises(KeyReused):
        await house.issue(t.upload(**change), command_id=KEY)


async def test_a_key_used_for_another_command_is_refused(house: House):
    await house.given_a_track()
    await house.issue(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1), command_id=KEY)
    with pytest.raises(KeyReused):
        await house.issue(c.RequeueAnalysis(track_id=t.TRACK, job_id=t.JOB_1), command_id=KEY)


async def test_two_of_one_key_at_once_append_once_and_hear_the_same(house: House):
    await house.given_a_track()
    one, other = await asyncio.gather(
        house.issue(described(), command_id=KEY), house.another().execute(described(), Issue(ADA, KEY))
    )
    assert sorted((one.repeated, other.repeated)) == [False, True]
    assert (one.body, one.revision, one.position) == (other.body, other.revision, other.position)
    assert len(house.store.log) == 3


@pytest.mark.parametrize("if_match", [None, frozenset({2})])
async def test_a_duplicate_that_the_winner_made_impossible_hears_the_winner(
    house: House, if_match: frozenset[int] | None
):
    """The first issue archives the track while the second one is loading it."""
    await house.given_a_track()
    archive = c.ArchiveTrack(track_id=t.TRACK)
    late = LateLoad(house, lambda: house.issue(archive, command_id=KEY))
    answer = await late.pipeline.execute(archive, Issue(ADA, KEY, if_match))
    assert answer.repeated
    assert house.types().count("track.archived") == 1


async def test_the_same_key_with_another_body_is_refused_even_when_the_rules_refuse_first(house: House):
    await house.given_a_track()
    late = LateLoad(house, lambda: house.issue(c.ArchiveTrack(track_id=t.TRACK), command_id=KEY))
    with pytest.raises(KeyReused):
        await late.pipeline.execute(c.ArchiveTrack(track_id=t.TRACK, reason="x"), Issue(ADA, KEY))


class LateLoad:
    """A second process in which something happens between looking for an answer and loading the state."""

    def __init__(self, house: House, meanwhile: Any) -> None:
        store, pending = house.store, [meanwhile]

        class Late(States):
            async def load_all(self, targets: Any) -> Any:
                if pending:
                    await pending.pop()()
                return await super().load_all(targets)

        states = Late(store, house.snapshots)
        self.pipeline = Pipeline(store, states, house.handlers, lambda *_: "0")


# What nobody can decide on


async def test_an_event_of_a_newer_writer_stops_every_decision_on_its_stream(house: House):
    await house.given_a_track()
    stranger = NewEvent(uuid4(), "track.remixed", 1, b"{}")
    house.store.write(Slice(t.TRACK, 2, "track", str(t.TRACK), (stranger,)), Metadata("x", KEY, None, KEY))
    with pytest.raises(UnknownEvent, match=r"track\.remixed at position 3"):
        await house.issue(described())
    assert house.store.appends == 1


async def test_an_older_events_version_is_read_as_the_present_one(house: House):
    """Version 1 of track.analysis_queued did not say why."""
    await house.given_a_track()
    second = house.store.log[1]
    data = {k: v for k, v in second.data.items() if k != "reason"}
    old = {f: getattr(second, f) for f in second.__slots__} | {"schema_version": 1, "data": data}
    house.store.log[1] = type(second)(**old)
    answer = await house.another().execute(c.CancelAnalysis(track_id=t.TRACK, job_id=t.JOB_1), Issue(ADA))
    assert answer.revision == 3


async def test_the_callers_preparation_takes_the_place_of_the_handlers(house: House):
    await house.given_a_track()
    asked: list[str] = []

    def asking(name: str):
        async def prepare(state: Any, command: Command) -> Command:
            asked.append(name)
            return command

        return prepare

    table = {
        c.DescribeTrack: on_stream(
            lambda command: TRACK.at(command.track_id, str(command.track_id)), prepare=asking("handler")
        )
    }
    pipeline = house.another(table)
    await pipeline.execute(described("one"), Issue(ADA))
    await pipeline.execute(described("two"), Issue(ADA), asking("caller"))
    assert asked == ["handler", "caller"]


def vars_of(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__slots__}
