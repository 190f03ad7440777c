"""Commands that race, repeat or lose their answer, against a real Postgres and from two processes' doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from adapters.artefacts.folder import FolderArtefacts
from adapters.postgres.access import Access
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.snapshots import PostgresSnapshots
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from commands.states import States
from commands.tracks import track_handlers
from commands.versions import Versions
from domain.command import Command
from domain.consistency import decode_token
from domain.errors import KeyReused, Rejected, Stale, Unavailable
from domain.log import Appended, EventStore
from domain.track import commands as c
from tests.servers.ledgers import Ledger, open_ledger
from tests.servers.postgres import OwnPostgres
from tests.unit.domain import tracks as t

pytestmark = pytest.mark.anyio

ADA = Caller("user:ada", frozenset({"producer"}))

T = TypeVar("T")


class Process:
    """A pipeline of its own on a log that others write too."""

    def __init__(self, ledger: Ledger, artefacts: Path, store: EventStore | None = None) -> None:
        self.ledger = ledger
        self.store = store or ledger.store
        states = States(self.store, PostgresSnapshots(ledger.pool))
        handlers = track_handlers(Versions(FolderArtefacts(artefacts)))
        self.pipeline = Pipeline(self.store, states, handlers, ledger.log.shard_of)

    async def issue(self, command: Command, prepare: Any = None, **issue: Any) -> Answer:
        return await self.pipeline.execute(command, Issue(ADA, **issue), prepare)

    async def types(self, track: UUID) -> list[str]:
        return [recorded.type for recorded in await self.store.read_stream(track)]


@asynccontextmanager
async def a_process(serving: str, artefacts: Path, deadline_s: float = 5.0) -> AsyncGenerator[Process]:
    async with open_ledger(serving, deadline_s) as ledger:
        yield Process(ledger, artefacts)


@pytest.fixture
async def two(database: Access, tmp_path: Path) -> AsyncGenerator[tuple[Process, Process]]:
    """Two processes on one database."""
    async with a_process(database.serving, tmp_path) as one, a_process(database.serving, tmp_path) as other:
        yield one, other


@pytest.fixture
async def track(two: tuple[Process, Process]) -> UUID:
    """A track both know, at revision 2."""
    track = uuid7()
    await two[0].issue(t.upload(track_id=track))
    return track


def head_to_head(parties: int = 2) -> Any:
    """A `prepare` that lets nobody decide before all have loaded the same state; later tries pass."""
    arrived: list[None] = []
    everybody = asyncio.Event()

    async def prepare(state: Any, command: Command) -> Command:
        arrived.append(None)
        if len(arrived) >= parties:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), 10)
        return command

    return prepare


async def both(*running: Awaitable[T]) -> list[T | BaseException]:
    return await asyncio.gather(*running, return_exceptions=True)


async def test_of_two_commands_at_once_one_tries_again_and_both_land(
    two: tuple[Process, Process], track: UUID
):
    prepare = head_to_head()
    answers = await both(
        two[0].issue(c.DescribeTrack(track_id=track, title="One"), prepare),
        two[1].issue(c.DescribeTrack(track_id=track, title="Two"), prepare),
    )
    assert sorted(a.revision for a in answers if isinstance(a, Answer)) == [3, 4]
    recorded = await two[0].store.read_stream(track, after=2)
    assert {r.data["title"] for r in recorded} == {"One", "Two"}
    assert [decode_token(a.consistency_token) for a in answers if isinstance(a, Answer)] == [
        {"0": a.position} for a in answers if isinstance(a, Answer)
    ]


async def test_of_two_commands_at_once_that_exclude_each_other_one_is_refused(
    two: tuple[Process, Process], track: UUID
):
    """The loser decides again, on a track that is archived by then."""
    prepare = head_to_head()
    outcomes = await both(*(p.issue(c.ArchiveTrack(track_id=track), prepare) for p in two))
    assert sorted(type(o).__name__ for o in outcomes) == ["Answer", "Rejected"]
    assert (await two[0].types(track)).count("track.archived") == 1


async def test_of_two_with_the_same_revision_in_hand_the_second_is_told_it_is_stale(
    two: tuple[Process, Process], track: UUID
):
    prepare = head_to_head()
    outcomes = await both(
        two[0].issue(c.DescribeTrack(track_id=track, title="One"), prepare, if_match=frozenset({2})),
        two[1].issue(c.DescribeTrack(track_id=track, title="Two"), prepare, if_match=frozenset({2})),
    )
    stale = [o for o in outcomes if isinstance(o, Stale)]
    assert [(s.expected, s.actual) for s in stale] == [({2}, 3)]
    assert len(await two[0].types(track)) == 3


async def test_sixteen_writers_on_one_track_lose_nothing_they_were_promised(
    two: tuple[Process, Process], track: UUID
):
    titles = [f"title {n}" for n in range(16)]
    outcomes = await both(
        *(two[n % 2].issue(c.DescribeTrack(track_id=track, title=title)) for n, title in enumerate(titles))
    )
    told = {o.revision: title for o, title in zip(outcomes, titles, strict=True) if isinstance(o, Answer)}
    recorded = await two[0].store.read_stream(track, after=2)
    assert {r.revision: r.data["title"] for r in recorded} == told
    assert len(told) >= 2


async def test_one_key_twice_at_once_appends_once_and_both_hear_the_same(
    two: tuple[Process, Process], track: UUID
):
    key, prepare = uuid4(), head_to_head()
    command = c.DescribeTrack(track_id=track, title="One")
    one, other = await both(*(p.issue(command, prepare, command_id=key) for p in two))
    assert isinstance(one, Answer)
    assert isinstance(other, Answer)
    assert sorted([one.repeated, other.repeated]) == [False, True]
    assert (one.revision, one.position, one.body) == (other.revision, other.position, other.body)
    assert one.consistency_token == other.consistency_token
    assert len(await two[0].types(track)) == 3


async def test_one_upload_key_twice_at_once_is_one_track(two: tuple[Process, Process]):
    key, prepare = uuid4(), head_to_head()
    one, other = await both(*(p.issue(t.upload(track_id=uuid7()), prepare, command_id=key) for p in two))
    assert isinstance(one, Answer)
    assert isinstance(other, Answer)
    assert one.body == other.body
    assert await two[0].store.head() == 2


async def test_one_key_for_two_requests_at_once_serves_one_of_them(two: tuple[Process, Process], track: UUID):
    key, prepare = uuid4(), head_to_head()
    outcomes = await both(
        two[0].issue(c.DescribeTrack(track_id=track, title="One"), prepare, command_id=key),
        two[1].issue(c.DescribeTrack(track_id=track, title="Two"), prepare, command_id=key),
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["Answer", "KeyReused"]
    assert len(await two[0].types(track)) == 3


async def test_a_key_used_yesterday_is_refused_for_another_request_and_answered_for_its_own(
    two: tuple[Process, Process], track: UUID
):
    key = uuid4()
    first = await two[0].issue(c.DescribeTrack(track_id=track, title="One"), command_id=key)
    with pytest.raises(KeyReused):
        await two[1].issue(c.DescribeTrack(track_id=track, title="Two"), command_id=key)
    again = await two[1].issue(
        c.DescribeTrack(track_id=track, title="One"), command_id=key, if_match=frozenset({2})
    )
    assert again.repeated
    assert (again.status, again.body, again.revision) == (first.status, first.body, first.revision)


async def test_a_key_that_changed_nothing_gets_its_first_answer_ever_after(
    two: tuple[Process, Process], track: UUID
):
    """The log has moved on by then, and so has the track: neither shows in the answer."""
    await two[0].issue(t.upload(track_id=uuid7()))
    key, unchanged = uuid4(), c.DescribeTrack(track_id=track, title="Song")
    first = await two[0].issue(unchanged, command_id=key)
    assert (first.status, first.revision, first.position, first.repeated) == (200, 2, 2, False)
    await two[0].issue(c.DescribeTrack(track_id=track, title="Other"))
    again = await two[1].issue(unchanged, command_id=key)
    assert again == replace(first, repeated=True)
    with pytest.raises(KeyReused):
        await two[1].issue(c.DescribeTrack(track_id=track, title="Else"), command_id=key)
    assert len(await two[0].types(track)) == 3


async def test_what_changes_nothing_is_decided_again_when_the_track_moved_meanwhile(
    two: tuple[Process, Process], track: UUID
):
    """Under a key the answer is kept only while it is true: the late one changes the title back."""
    moved = False

    async def overtaken(state: Any, command: Command) -> Command:
        nonlocal moved
        if not moved:
            moved = True
            await two[1].issue(c.DescribeTrack(track_id=track, title="Other"))
        return command

    unchanged = c.DescribeTrack(track_id=track, title="Song")
    answer = await two[0].issue(unchanged, overtaken, command_id=uuid4())
    assert answer.revision == 4
    assert (await two[0].store.read_stream(track))[-1].data == {"title": "Song"}


async def test_a_refusal_is_not_kept_under_its_key(two: tuple[Process, Process], track: UUID):
    key = uuid4()
    with pytest.raises(Rejected):
        await two[0].issue(c.RequestAnalysis(track_id=track), command_id=key)
    assert await two[0].store.find_answer(key) is None


class LostAnswers:
    """A store whose first append is written, and whose answer never arrives."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self._lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, slices: Sequence[Any], *rest: Any) -> Appended:
        appended = await self._store.append(slices, *rest)
        if not self._lost:
            self._lost = True
            raise Unavailable("the connection broke")
        return appended


async def test_a_retry_after_a_commit_whose_answer_was_lost_appends_nothing(
    two: tuple[Process, Process], track: UUID, tmp_path: Path
):
    unlucky = Process(two[0].ledger, tmp_path, LostAnswers(two[0].ledger.store))
    key, command = uuid4(), c.DescribeTrack(track_id=track, title="One")
    with pytest.raises(Unavailable):
        await unlucky.issue(command, command_id=key)
    again = await unlucky.issue(command, command_id=key)
    assert (again.repeated, again.revision) == (True, 3)
    assert len(await two[0].types(track)) == 3


async def test_a_retry_after_postgres_stopped_in_mid_append_is_one_track(
    own_postgres: OwnPostgres, tmp_path: Path
):
    """Whether the first try was written when the caller gave up is unknown; in the end there is one track."""
    async with a_process(own_postgres.serving, tmp_path / "artefacts", deadline_s=0.5) as process:
        key = uuid4()

        async def stopping(state: Any, command: Command) -> Command:
            own_postgres.pause()
            return command

        with pytest.raises(Unavailable):
            await process.issue(t.upload(track_id=uuid7()), stopping, command_id=key)
        own_postgres.resume()
        answer = await until_available(process, key)
        # The queue is served in order: what was left of the first try has landed before this, if it could.
        await process.issue(t.upload(track_id=uuid7()))
        uploaded, *_ = await process.store.read_log()
        assert await process.store.head() == 4
        assert answer.body["track_id"] == str(uploaded.stream)


async def until_available(process: Process, key: UUID) -> Answer:
    async with asyncio.timeout(20):
        while True:
            try:
                return await process.issue(t.upload(track_id=uuid7()), command_id=key)
            except Unavailable:
                await asyncio.sleep(0.05)
