"""The one way a command becomes events: authorise, load, prepare, decide, append, answer.

Duplicates are not locked out: they run, and the append decides. Whoever loses, by a conflict or because a
rule no longer allows what the winner did already, is given the winner's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from uuid_utils.compat import uuid7

from commands.fingerprint import fingerprint
from commands.handler import Handler, Handlers, Prepare
from commands.issue import Answer, Caller, Issue
from commands.states import Loaded, States
from domain.command import Command
from domain.consistency import encode_token
from domain.errors import Forbidden, Invalid, KeyReused, NotFound, Rejected, RevisionConflict, Stale
from domain.events import REGISTRY
from domain.log import CommandKey, EventStore, Metadata, NewEvent, Slice, StoredAnswer
from domain.registry import Event

RETRIES = 3

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

    async def execute(self, command: C, issue: Issue, prepare: Prepare[Any, C] | None = None) -> Answer:
        """Execute the command once, whatever is repeated or races with it; `prepare` replaces the handler's.

        Raises Forbidden, NotFound, Invalid, Rejected, KeyReused; Stale for an If-Match that does not hold,
        RevisionConflict after four lost races; EventTooLarge, UnknownEvent; Busy, Unavailable.
        """
        authorise(type(command), issue.caller)
        run = _Run(self._handlers[type(command)], command, issue, prepare)
        if (answer := await self._first_answer(run)) is not None:
            return answer
        try:
            return await self._race(run)
        except (NotFound, Invalid, Rejected, Stale):
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

    async def _race(self, run: _Run) -> Answer:
        if run.prepare is None:
            return await self._try(run)
        # Preparing takes long (a map is rendered), and who loses does it again: in one process we queue up.
        async with self._preparing.setdefault(run.handler.stream(run.command), asyncio.Lock()):
            return await self._try(run)

    async def _try(self, run: _Run) -> Answer:
        # With an If-Match there is no second chance: the reload finds it stale.
        for _ in range(RETRIES):
            with suppress(RevisionConflict):
                return await self._attempt(run)
        return await self._attempt(run)

    async def _attempt(self, run: _Run) -> Answer:
        handler, command = run.handler, run.command
        stream = handler.stream(command)
        loaded = await self._states.load(handler.decider, stream)
        _check_match(run.issue.if_match, loaded)
        if run.prepare is not None:
            command = await run.prepare(loaded.state, command)
        events = handler.decider.decide(loaded.state, command)
        category, key = handler.decider.category, handler.partition_key(command)
        status, body = (handler.status, handler.body(command, events)) if events else (200, {})
        command_key = run.command_key(status, body)
        if not events and command_key is None:
            return self._answer(status, body, loaded.revision, loaded.position, category, key)
        # Without events it asserts where the stream stands, and keeps the answer for a repetition.
        appended = await self._store.append(
            [Slice(stream, loaded.revision, category, key, run.encoded(events))],
            run.metadata,
            command_key,
        )
        if appended.repeated is not None:
            return await self._repeated(appended.repeated)
        position = appended.position if events else loaded.position
        return self._answer(status, body, appended.revision, position, category, key)

    async def _repeated(self, stored: StoredAnswer) -> Answer:
        # The event itself knows its shard; this issue of the command may carry another id of its own making.
        (last,) = await self._store.read_log(stored.position - 1, 1)
        token = encode_token({self._shard_of(last.category, last.partition_key): stored.position})
        return Answer(stored.status, stored.body, stored.revision, stored.position, token, repeated=True)

    def _answer(
        self, status: int, body: Mapping[str, Any], revision: int, position: int, category: str, key: str
    ) -> Answer:
        token = encode_token({self._shard_of(category, key): position})
        return Answer(status, body, revision, position, token)


def _check_match(if_match: frozenset[int] | None, loaded: Loaded[Any]) -> None:
    # Of a stream that is not there, the decision says so better than a 412.
    if if_match is not None and loaded.revision and loaded.revision not in if_match:
        raise Stale(if_match, loaded.revision)


@dataclass(slots=True)
class _Run:
    """One issue of one command: what stays the same however often it is tried."""

    handler: Handler[Any, Any]
    command: Command
    issue: Issue
    prepare: Prepare[Any, Any] | None
    fingerprint: bytes = b""
    metadata: Metadata = field(init=False)
    _event_ids: list[UUID] = field(default_factory=list[UUID])

    def __post_init__(self) -> None:
        self.prepare = self.prepare or self.handler.prepare
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

    def encoded(self, events: tuple[Event, ...]) -> tuple[NewEvent, ...]:
        # The ids are made once: by them the log recognises what it wrote before the connection broke.
        while len(self._event_ids) < len(events):
            self._event_ids.append(uuid7())
        return tuple(map(REGISTRY.encode, events, self._event_ids))

    def command_key(self, status: int, body: Mapping[str, Any]) -> CommandKey | None:
        if self.issue.command_id is None:
            return None
        return CommandKey(self.issue.command_id, self.fingerprint, status, body)
