"""The one way a command becomes events: authorise, load, prepare, decide, append, answer.

To issue a command: `await pipeline.execute(command, Issue(caller))`. To add one: see commands/handler.py.

Duplicates are not locked out: they run, and the append decides. A duplicate that loses, by a conflict or
because a rule no longer allows what the winner did already, gets the winner's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from uuid_utils.compat import uuid7

from commands.fingerprint import fingerprint
from commands.handler import Handler, Handlers, Prepare, events_in_order, shards_written
from commands.issue import Answer, Caller, Issue
from commands.states import Loaded, States
from domain.command import Command
from domain.consistency import encode_token
from domain.decider import Decision, Target, TargetStates
from domain.errors import Expired, Forbidden, Invalid, KeyReused, NotFound, Rejected, RevisionConflict, Stale
from domain.events import REGISTRY
from domain.log import CommandKey, EventStore, Metadata, Slice, StoredAnswer

RETRIES = 3

SHARDS = "$shards"
"""In a stored answer: each shard written, and how far before `position` the last event on it stands."""

C = TypeVar("C", bound=Command)

_NOT_PEOPLE = frozenset({"service", "device"})


def authorise(command: type[Command], caller: Caller) -> None:
    """Raise Forbidden unless one of the caller's roles may issue the command; admin may what people may."""
    if command.roles & caller.roles or ("admin" in caller.roles and command.roles - _NOT_PEOPLE):
        return
    allowed = ", ".join(sorted(command.roles))
    raise Forbidden(f"{command.__name__} needs one of these roles: {allowed}")


class Pipeline:
    """Executes every command the table of handlers knows. `shard_of` is the log's."""

    def __init__(
        self,
        store: EventStore,
        states: States,
        handlers: Handlers,
        shard_of: Callable[[str, str], str],
    ) -> None:
        self._store = store
        self._states = states
        self._handlers = handlers
        self._shard_of = shard_of
        self._preparing: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def execute(
        self,
        command: C,
        issue: Issue,
        prepare: Prepare[Any, C] | None = None,
        known: Mapping[UUID, Loaded[Any]] | None = None,
    ) -> Answer:
        """Execute the command once, whatever is repeated or races with it; `prepare` replaces the handler's.

        `known` are states of targets that the caller holds in memory, by stream: the first attempt does not
        load them. A state that is out of date costs a second attempt, because the append refuses the first.

        Raises Forbidden, NotFound, Invalid, Rejected, KeyReused; Stale for an If-Match that does not hold,
        RevisionConflict after four lost races, Expired; EventTooLarge, UnknownEvent; Busy, Unavailable.
        """
        authorise(type(command), issue.caller)
        run = _Run(self._handlers[type(command)], command, issue, prepare)
        if (answer := await self._first_answer(run)) is not None:
            return answer
        try:
            return await self._race(run, known or {})
        except (NotFound, Invalid, Rejected, Stale, Expired):
            # A duplicate may have won since we looked, and that is why the rule refuses us.
            if (answer := await self._first_answer(run)) is not None:
                return answer
            raise

    async def _first_answer(self, run: _Run) -> Answer | None:
        if run.issue.command_id is None:
            return None
        stored = await self._store.find_answer(run.issue.command_id)
        if stored is None:
            return None
        if stored.fingerprint != run.fingerprint:
            raise KeyReused
        return await self._repeated(stored)

    async def _race(self, run: _Run, known: Mapping[UUID, Loaded[Any]]) -> Answer:
        if run.prepare is None:
            return await self._try(run, known)
        # Preparing takes long (a map is rendered), and a loser repeats it: commands of one process queue up.
        async with self._preparing.setdefault(run.targets[0].stream, asyncio.Lock()):
            return await self._try(run, known)

    async def _try(self, run: _Run, known: Mapping[UUID, Loaded[Any]]) -> Answer:
        if known:
            # What a caller holds may be out of date: then neither its refusal nor its conflict counts.
            with suppress(RevisionConflict, NotFound, Invalid, Rejected, Stale):
                return await self._attempt(run, known)
        # With an If-Match there is no second chance: the reload finds it stale.
        for _ in range(RETRIES):
            with suppress(RevisionConflict):
                return await self._attempt(run, {})
        return await self._attempt(run, {})

    async def _attempt(self, run: _Run, known: Mapping[UUID, Loaded[Any]]) -> Answer:
        handler, command, targets = run.handler, run.command, run.targets
        unknown = [target for target in targets if target.stream not in known]
        # Of what the caller holds, the decision sees its targets alone: it relies on nothing unchecked.
        held = {target.stream: known[target.stream] for target in targets if target.stream in known}
        loaded = held | (await self._states.load_all(unknown) if unknown else {})
        first = loaded[targets[0].stream]
        _check_match(run.issue.if_match, first)
        if run.prepare is not None:
            command = await run.prepare(first.state, command)
        decision = handler.decide(TargetStates({s: found.state for s, found in loaded.items()}), command)
        events = events_in_order(targets, decision)
        back = shards_written(targets, decision, self._shard_of)
        status, body = (handler.status, handler.body(command, events)) if events else (200, {})
        command_key = run.command_key(status, body, back)
        if not events and command_key is None:
            return _answer(status, body, first.revision, first.position, back)
        # Every stream that was looked at is checked by the append, with or without events of its own.
        appended = await self._store.append(
            run.slices(targets, loaded, decision), run.metadata, command_key, decision.not_after
        )
        if appended.repeated is not None:
            return await self._repeated(appended.repeated)
        position = appended.position if events else first.position
        return _answer(status, body, appended.revision, position, back)

    async def _repeated(self, stored: StoredAnswer) -> Answer:
        body = dict(stored.body)
        back: Mapping[str, int] | None = body.pop(SHARDS, None)
        if back is None:
            # Stored by a version whose commands wrote one stream: its last event knows the shard.
            (last,) = await self._store.read_log(stored.position - 1, 1)
            back = {self._shard_of(last.category, last.partition_key): 0}
        answer = _answer(stored.status, body, stored.revision, stored.position, back)
        return replace(answer, repeated=True)


def _answer(
    status: int, body: Mapping[str, Any], revision: int, position: int, back: Mapping[str, int]
) -> Answer:
    token = encode_token({shard: position - before for shard, before in back.items()})
    return Answer(status, body, revision, position, token)


def _check_match(if_match: frozenset[int] | None, loaded: Loaded[Any]) -> None:
    # Of a stream that is not there, the decision says so better than a 412.
    if if_match is not None and loaded.revision and loaded.revision not in if_match:
        raise Stale(if_match, loaded.revision)


@dataclass(slots=True)
class _Run:
    """One issue of one command: what stays the same however often it is tried."""

    handler: Handler[Any]
    command: Command
    issue: Issue
    prepare: Prepare[Any, Any] | None
    fingerprint: bytes = b""
    targets: Sequence[Target[Any]] = ()
    metadata: Metadata = field(init=False)
    _event_ids: list[UUID] = field(default_factory=list[UUID])

    def __post_init__(self) -> None:
        self.prepare = self.prepare or self.handler.prepare
        self.targets = self.handler.targets(self.command)
        if self.issue.command_id is not None:
            self.fingerprint = fingerprint(self.command, self.handler.incidental)
        command_id = self.issue.command_id or uuid7()
        self.metadata = Metadata(
            actor=self.issue.caller.actor,
            correlation_id=self.issue.correlation_id or command_id,
            causation_id=self.issue.causation_id,
            command_id=command_id,
            traceparent=self.issue.traceparent,
        )

    def slices(
        self, targets: Sequence[Target[Any]], loaded: Mapping[UUID, Loaded[Any]], decision: Decision
    ) -> list[Slice]:
        """Return one slice for each target, at the revision it was loaded at."""
        ids = self._ids(sum(map(len, decision.events.values())))
        return [
            Slice(
                target.stream,
                loaded[target.stream].revision,
                target.decider.category,
                target.partition_key,
                tuple(REGISTRY.encode(event, next(ids)) for event in decision.events.get(target.stream, ())),
            )
            for target in targets
        ]

    def _ids(self, count: int) -> Iterator[UUID]:
        # The ids are made once: by them the log recognises what it wrote before the connection broke.
        while len(self._event_ids) < count:
            self._event_ids.append(uuid7())
        return iter(self._event_ids)

    def command_key(self, status: int, body: Mapping[str, Any], back: Mapping[str, int]) -> CommandKey | None:
        if self.issue.command_id is None:
            return None
        return CommandKey(self.issue.command_id, self.fingerprint, status, {**body, SHARDS: back})
