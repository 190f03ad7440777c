"""Loading a stream's state by as few events as possible: from memory, else from a snapshot, then the tail.

The tail is always read, so neither an old cache entry nor an old snapshot ever decides anything.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Generic
from uuid import UUID

import msgspec
import structlog

from commands.handler import Decider, S
from commands.ports import Snapshots
from commands.recent_states import RecentStates
from domain.events import REGISTRY
from domain.log import EventStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A stream's state after `revision`, whose event stands at `position`; both 0 for no stream.

    `snapshot` is the revision of the latest snapshot known of.
    """

    state: S
    revision: int = 0
    position: int = 0
    snapshot: int = 0


class _Snapshot(msgspec.Struct, frozen=True):
    """The position is kept too: an answer that appends nothing still says where its stream stands."""

    position: int
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

    async def load(self, decider: Decider[S, Any], stream: UUID) -> Loaded[S]:
        """Return the state as the log has it now. Raises UnknownEvent or Unavailable."""
        kept: Loaded[S] | None = self._kept.get(stream)
        known = kept or await self._from_snapshot(decider, stream)
        loaded = await self._with_tail(decider, stream, known)
        if loaded.revision - loaded.snapshot >= self._snapshot_every:
            self._write_in_background(decider, stream, loaded)
            loaded = replace(loaded, snapshot=loaded.revision)
        moved = kept is None or (loaded.revision, loaded.snapshot) != (kept.revision, kept.snapshot)
        if moved and loaded.revision:  # an unknown id must not push a state out
            self._kept.keep(stream, loaded, len(msgspec.json.encode(loaded.state)))
        return loaded

    async def close(self) -> None:
        """Wait for the snapshots that are being written."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _from_snapshot(self, decider: Decider[S, Any], stream: UUID) -> Loaded[S]:
        found = await self._snapshots.read_snapshot(stream, decider.fold_version)
        if found is None:
            return Loaded(decider.initial)
        revision, content = found
        snapshot = _decode_snapshot(content)
        state = msgspec.json.decode(snapshot.state, type=decider.state)
        return Loaded(state, revision, snapshot.position, revision)

    async def _with_tail(self, decider: Decider[S, Any], stream: UUID, known: Loaded[S]) -> Loaded[S]:
        state, revision, position = known.state, known.revision, known.position
        more = True
        while more:
            # By pages: the events of a long stream may each hold a grid, and need not be in memory at once.
            tail = await self._store.read_stream(stream, after=revision)
            for recorded in tail:
                state = decider.evolve(state, REGISTRY.decode(recorded))
                revision, position = recorded.revision, recorded.position
            more = tail.more
        return Loaded(state, revision, position, known.snapshot)

    def _write_in_background(self, decider: Decider[S, Any], stream: UUID, loaded: Loaded[S]) -> None:
        task = asyncio.create_task(self._write(decider.fold_version, stream, loaded))
        # The loop keeps weak references only: an unreferenced task may vanish in the middle.
        self._writing.add(task)
        task.add_done_callback(self._written)

    async def _write(self, fold_version: int, stream: UUID, loaded: Loaded[Any]) -> None:
        content = _Snapshot(loaded.position, msgspec.Raw(msgspec.json.encode(loaded.state)))
        await self._snapshots.write_snapshot(
            stream, loaded.revision, fold_version, msgspec.json.encode(content)
        )

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The next one comes after as many events again; until then loading takes longer, and is right.
            log.warning("snapshot_not_written", exc_info=error)
