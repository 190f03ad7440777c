"""Event store, log, snapshots and artefacts in memory, with the semantics of their ports, counting reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from commands.ports import StoredArtefact
from domain.errors import Expired, KeyReused, NotFound, RevisionConflict, Unavailable
from domain.log import (
    PAGE_EVENTS,
    Appended,
    Batch,
    CommandKey,
    Metadata,
    Offsets,
    Page,
    Slice,
    StoredAnswer,
)
from domain.log_clock import LogClock
from domain.recorded import Recorded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class MemoryStore:
    """An EventStore whose pages have `page` events; `reads` lists (stream, after, events) of each page."""

    def __init__(self) -> None:
        self.log: list[Recorded] = []
        self.answers: dict[UUID, StoredAnswer] = {}
        self.reads: list[tuple[UUID, int, int]] = []
        self.appends = 0
        self.asserted: list[UUID] = []
        self.now = NOON
        self.page = PAGE_EVENTS

    async def append(
        self,
        slices: Sequence[Slice],
        metadata: Metadata,
        command_key: CommandKey | None = None,
        not_after: datetime | None = None,
    ) -> Appended:
        await asyncio.sleep(0)
        self.appends += 1
        if command_key is not None and (stored := self.answers.get(command_key.command_id)):
            if stored.fingerprint != command_key.fingerprint:
                raise KeyReused
            return Appended(stored.position, stored.revision, None, stored)
        for part in slices:
            actual = self.revision(part.stream)
            if not part.events:
                self.asserted.append(part.stream)
            if actual != part.expected:
                raise RevisionConflict(part.stream, part.expected, actual)
        if not_after is not None and self.now > not_after:
            raise Expired(not_after)
        for part in slices:
            self.write(part, metadata)
        appended = Appended(len(self.log), self.revision(slices[0].stream), NOON)
        ends = len(self.log)
        if not any(part.events for part in slices):
            ends = next((r.position for r in reversed(self.log) if r.stream == slices[0].stream), ends)
        if command_key is not None:
            self.answers[command_key.command_id] = StoredAnswer(
                command_key.fingerprint,
                command_key.status,
                command_key.body,
                appended.revision,
                ends,
            )
        return appended

    def revision(self, stream: UUID) -> int:
        return sum(recorded.stream == stream for recorded in self.log)

    def write(self, part: Slice, metadata: Metadata) -> None:
        for revision, event in enumerate(part.events, part.expected + 1):
            self.log.append(
                Recorded(
                    position=len(self.log) + 1,
                    stream=part.stream,
                    revision=revision,
                    category=part.category,
                    partition_key=part.partition_key,
                    event_id=event.event_id,
                    type=event.type,
                    schema_version=event.schema_version,
                    data=json.loads(event.data),
                    recorded_at=NOON,
                    actor=metadata.actor,
                    correlation_id=metadata.correlation_id,
                    causation_id=metadata.causation_id,
                    command_id=metadata.command_id,
                    traceparent=metadata.traceparent,
                )
            )

    async def find_answer(self, command_id: UUID) -> StoredAnswer | None:
        await asyncio.sleep(0)
        return self.answers.get(command_id)

    async def read_stream(
        self, stream: UUID, after: int = 0, up_to: int | None = None, limit: int = PAGE_EVENTS
    ) -> Page:
        await asyncio.sleep(0)
        last = len(self.log) if up_to is None else up_to
        found = [r for r in self.log if r.stream == stream and after < r.revision <= last]
        page = Page(found[: min(limit, self.page)], more=len(found) > min(limit, self.page))
        self.reads.append((stream, after, len(page)))
        return page

    async def read_streams(self, after: Mapping[UUID, int], limit: int = PAGE_EVENTS) -> Page:
        await asyncio.sleep(0)
        cut = min(limit, self.page)
        found = [r for r in self.log if r.revision > after.get(r.stream, len(self.log))]
        page = Page(found[:cut], more=len(found) > cut)
        self.reads += [(stream, at, sum(r.stream == stream for r in page)) for stream, at in after.items()]
        return page

    async def read_log(
        self,
        after_position: int = 0,
        limit: int = PAGE_EVENTS,
        *,
        up_to: int | None = None,
        categories: Collection[str] | None = None,
        type: str | None = None,
        actor: str | None = None,
        stream: UUID | None = None,
        correlation_id: UUID | None = None,
    ) -> Page:
        later = self.log[after_position:]
        found = [event for event in later if categories is None or event.category in categories]
        return Page(found[:limit], more=len(found) > limit)

    async def head(self) -> int:
        return len(self.log)

    async def clock(self) -> LogClock:
        return LogClock(datetime.now(UTC), self.log[-1].recorded_at if self.log else None)


class MemoryLog:
    """A log over the store in memory; a subscription fails as often as `away` says, then follows."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.groups: dict[str, int] = {}
        self.away = 0

    async def group_exists(self, group: str) -> bool:
        return group in self.groups

    async def end_offsets(self, categories: Collection[str]) -> Offsets:
        return {"0": len(self.store.log)}

    async def start_group(self, group: str, offsets: Offsets) -> None:
        self.groups[group] = offsets["0"]

    @asynccontextmanager
    async def subscribe(
        self, group: str, categories: Collection[str], limit: int = 500
    ) -> AsyncGenerator[MemorySubscription]:
        if self.away:
            self.away -= 1
            raise Unavailable("Postgres can't be reached")
        yield MemorySubscription(self, group, categories)

    def shard_of(self, category: str, partition_key: str) -> str:
        return "0"


class MemorySubscription:
    """A reader of one group, which begins behind its last commit."""

    def __init__(self, log: MemoryLog, group: str, categories: Collection[str]) -> None:
        self._log, self._group, self._categories = log, group, categories
        self._shown = log.groups[group]

    async def __aiter__(self) -> AsyncIterator[Batch]:
        while True:
            if events := self._log.store.log[self._shown :]:
                self._shown = len(self._log.store.log)
                ours = tuple(event for event in events if event.category in self._categories)
                yield Batch(ours, {"0": self._shown}, {"0": self._shown})
            await asyncio.sleep(0.005)

    async def commit(self, batch: Batch | None = None) -> None:
        self._log.groups[self._group] = self._shown if batch is None else batch.offsets["0"]

    @property
    def reached(self) -> dict[str, int]:
        return {"0": self._shown}


class MemorySnapshots:
    """Snapshots, the latest of each stream and fold: (revision, fold version, content)."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, UUID], tuple[int, int, bytes]] = {}

    async def read_snapshots(
        self, fold: str, fold_version: int, streams: Collection[UUID]
    ) -> dict[UUID, tuple[int, bytes]]:
        found = {stream: self.kept.get((fold, stream), (0, 0, b"")) for stream in streams}
        return {
            stream: (revision, content)
            for stream, (revision, version, content) in found.items()
            if version == fold_version
        }

    async def write_snapshot(
        self, fold: str, fold_version: int, stream: UUID, revision: int, content: bytes
    ) -> None:
        if self.kept.get((fold, stream), (0,))[0] < revision:
            self.kept[fold, stream] = (revision, fold_version, content)


class MemoryArtefacts:
    """Artefacts by their SHA-256."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, content: bytes) -> StoredArtefact:
        digest = sha256(content).hexdigest()
        self.kept[digest] = content
        return StoredArtefact(digest, len(content))

    async def put_file(self, path: Path, sha256: str) -> StoredArtefact:
        stored = await self.put(path.read_bytes())
        assert stored.sha256 == sha256
        path.unlink()
        return stored

    async def get(self, sha256: str) -> bytes:
        try:
            return self.kept[sha256]
        except KeyError:
            raise NotFound(f"no artefact {sha256}") from None

    async def size(self, sha256: str) -> int:
        return len(await self.get(sha256))

    async def stream(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield (await self.get(sha256))[start:end]

    async def fetch_to(self, sha256: str, path: Path) -> None:
        path.write_bytes(await self.get(sha256))

    async def delete(self, sha256: str) -> None:
        self.kept.pop(sha256, None)

    def json(self, artefact: Any) -> Any:
        return json.loads(self.kept[artefact.sha256])
