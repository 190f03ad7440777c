"""Loads the states of streams by few events: from memory, else from a snapshot, then the tail.

The tail is always read, so neither an old cache entry nor an old snapshot ever decides anything. A snapshot
counts only when its content has its hash and its stream still has the event that it was taken after.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic
from uuid import UUID

import msgspec
import structlog

from commands.ports import Snapshots
from commands.recent_states import RecentStates
from domain.decider import Decider, S, Target
from domain.events import REGISTRY
from domain.log import EventStore
from domain.recorded import Recorded

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A stream's state after `revision`, whose event `event_id` stands at `position`; all 0 for no stream.

    `snapshot` is the revision of the latest snapshot known of.
    """

    state: S
    revision: int = 0
    position: int = 0
    event_id: UUID | None = None
    snapshot: int = 0


class _Snapshot(msgspec.Struct, frozen=True):
    """A state and what it was folded from. The position serves answers of commands that append nothing."""

    position: int
    event_id: UUID | None
    sha256: str
    state: msgspec.Raw


_decode_snapshot = msgspec.json.Decoder(_Snapshot).decode


class States:
    """The states of streams: the `keep` last used in memory, and a snapshot every `snapshot_every` events."""

    def __init__(
        self, store: EventStore, snapshots: Snapshots, keep: int = 500, snapshot_every: int = 200
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every
        self._kept = RecentStates(keep)
        self._writing: set[asyncio.Task[None]] = set()

    async def load(self, target: Target[S]) -> Loaded[S]:
        """Return one stream's state as the log has it now. Raises UnknownEvent or Unavailable."""
        return (await self.load_all([target]))[target.stream]

    async def load_all(self, targets: Sequence[Target[Any]]) -> dict[UUID, Loaded[Any]]:
        """Return the states of these streams, by stream, in one round trip for all tails.

        Raises UnknownEvent or Unavailable.
        """
        kept = {t.stream: found for t in targets if (found := self._kept.get(_key(t))) is not None}
        cold = [target for target in targets if target.stream not in kept]
        known = kept | await self._from_snapshots(cold)
        loaded = await self._with_tails(targets, known)
        for target in targets:
            loaded[target.stream] = self._remember(target, loaded[target.stream], kept.get(target.stream))
        return loaded

    async def close(self) -> None:
        """Wait for the snapshots that are being written."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _from_snapshots(self, targets: Sequence[Target[Any]]) -> dict[UUID, Loaded[Any]]:
        loaded = {target.stream: Loaded(target.decider.initial) for target in targets}
        folds: dict[tuple[str, int], list[Target[Any]]] = {}
        for target in targets:
            folds.setdefault((target.decider.fold, target.decider.fold_version), []).append(target)
        for (fold, version), group in folds.items():
            found = await self._snapshots.read_snapshots(fold, version, [target.stream for target in group])
            deciders = {target.stream: target.decider for target in group}
            for stream, (revision, content) in found.items():
                if (state := _restored(deciders[stream], stream, revision, content)) is not None:
                    loaded[stream] = state
        return await self._bound_to_their_streams(targets, loaded)

    async def _bound_to_their_streams(
        self, targets: Sequence[Target[Any]], loaded: dict[UUID, Loaded[Any]]
    ) -> dict[UUID, Loaded[Any]]:
        """Drop each snapshot whose stream does not have the event that the snapshot names as its last."""
        for target in targets:
            snapshot = loaded[target.stream]
            if not snapshot.revision:
                continue
            at = snapshot.revision
            last = await self._store.read_stream(target.stream, after=at - 1, up_to=at)
            if not last or last[0].event_id != snapshot.event_id:
                _refuse(target.stream, at, "the stream has another event there")
                loaded[target.stream] = Loaded(target.decider.initial)
        return loaded

    async def _with_tails(
        self, targets: Sequence[Target[Any]], known: Mapping[UUID, Loaded[Any]]
    ) -> dict[UUID, Loaded[Any]]:
        folding = {target.stream: _Folding(target.decider, known[target.stream]) for target in targets}
        more = True
        while more:
            # By pages: the events of a long stream may each hold a grid, and need not be in memory at once.
            page = await self._store.read_streams({s: f.revision for s, f in folding.items()})
            for recorded in page:
                folding[recorded.stream].take(recorded)
            more = page.more
        return {stream: fold.loaded() for stream, fold in folding.items()}

    def _remember(self, target: Target[S], loaded: Loaded[S], kept: Loaded[S] | None) -> Loaded[S]:
        if loaded.revision - loaded.snapshot >= self._snapshot_every:
            self._write_in_background(target, loaded)
            loaded = replace(loaded, snapshot=loaded.revision)
        moved = kept is None or (loaded.revision, loaded.snapshot) != (kept.revision, kept.snapshot)
        if moved and loaded.revision:  # an unknown id must not push a state out
            self._kept.keep(_key(target), loaded, len(msgspec.json.encode(loaded.state)))
        return loaded

    def _write_in_background(self, target: Target[S], loaded: Loaded[S]) -> None:
        task = asyncio.create_task(self._write(target, loaded))
        # The loop keeps weak references only: an unreferenced task may vanish in the middle.
        self._writing.add(task)
        task.add_done_callback(self._written)

    async def _write(self, target: Target[Any], loaded: Loaded[Any]) -> None:
        state = msgspec.json.encode(loaded.state)
        content = _Snapshot(loaded.position, loaded.event_id, _digest(state), msgspec.Raw(state))
        decider, encoded = target.decider, msgspec.json.encode(content)
        await self._snapshots.write_snapshot(
            decider.fold, decider.fold_version, target.stream, loaded.revision, encoded
        )

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The next one comes after as many events again; until then loading takes longer, and is right.
            log.warning("snapshot_not_written", exc_info=error)


class _Folding:
    """One stream's state on its way through its tail."""

    def __init__(self, decider: Decider[Any], known: Loaded[Any]) -> None:
        self._evolve = decider.evolve
        self._known = known
        self._last: Recorded | None = None
        self._state = known.state
        self.revision = known.revision

    def take(self, recorded: Recorded) -> None:
        """Fold the stream's next event. Raises UnknownEvent."""
        self._state = self._evolve(self._state, REGISTRY.decode(recorded))
        self._last, self.revision = recorded, recorded.revision

    def loaded(self) -> Loaded[Any]:
        """Return the state after the last event taken."""
        if (last := self._last) is None:
            return self._known
        return Loaded(self._state, last.revision, last.position, last.event_id, self._known.snapshot)


def _key(target: Target[Any]) -> tuple[str, UUID]:
    return target.decider.fold, target.stream


def _restored(decider: Decider[S], stream: UUID, revision: int, content: bytes) -> Loaded[S] | None:
    try:
        snapshot = _decode_snapshot(content)
        state = msgspec.json.decode(snapshot.state, type=decider.state)
    except msgspec.MsgspecError as error:
        _refuse(stream, revision, str(error))
        return None
    if snapshot.sha256 != _digest(bytes(snapshot.state)):
        _refuse(stream, revision, "its content does not have its hash")
        return None
    return Loaded(state, revision, snapshot.position, snapshot.event_id, revision)


def _refuse(stream: UUID, revision: int, reason: str) -> None:
    # Loading folds the events instead, so the snapshot decides nothing.
    log.error("snapshot_refused", stream=str(stream), revision=revision, reason=reason)


def _digest(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()
