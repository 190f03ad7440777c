"""Many recordings through the analyser at once, what came of each in the order they were asked for."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid5

from adapters.audio.analyser import ChildAnalyser
from analysis import genesis_map
from analysis.result import Analysed, AnalysisSettings
from commands.analysis.ports import (
    AnalysisCrashed,
    UndecodableAudio,
)
from commands.scores import figures, global_metrics

_AUDIO = UUID("62128f3a-511a-45ad-8529-937cbb35113d")
"""The namespace of track ids that stand for a recording itself, since no server has named its track."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A recording's analysis and its Genesis Map as a line of JSON. `took_s` is wall time."""

    analysed: Analysed
    line: bytes
    took_s: float


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A file that gave no map, and why."""

    reason: str


class Listener(Protocol):
    """Who follows the files while they are worked on, by their place in the batch."""

    def progressed(self, number: int, stage: str, percent: float) -> None:
        """Take note of how far a file is."""
        ...

    def ended(self, number: int) -> None:
        """Take note that a file is done with."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """How files are analysed: `workers` at once, each at most `cap_s` seconds of sound.

    `keep`, if given, is called in a thread with a file's number and map as soon as there is one; an OSError
    of it is that file's failure.
    """

    settings: AnalysisSettings
    workers: int
    cap_s: float
    keep: Callable[[int, bytes], None] | None = None

    def run(self, files: Sequence[Path], listener: Listener) -> Generator[Mapped | Unmapped]:
        """Yield what came of each file, in their order. Closing the generator ends all work.

        From the main thread, which the children are tied to. The event loop runs only while the next outcome
        is awaited, so Ctrl-C also reaches a consumer that is stuck writing into a full pipe.
        """
        with asyncio.Runner() as runner:
            work = runner.run(_Work.begun(self, files, listener))
            try:
                while work.tasks:
                    yield runner.run(_outcome(work.tasks.popleft()))
            finally:
                runner.run(work.end())


class _Work:
    """A batch on its way: a task for each file, in order, and the children that serve them."""

    def __init__(self, batch: Batch, listener: Listener) -> None:
        self._batch = batch
        self._listener = listener
        self._analyser = ChildAnalyser(batch.workers, cap_s=batch.cap_s)
        self._turns = asyncio.Semaphore(batch.workers)
        self.tasks: deque[asyncio.Task[Mapped | Unmapped]] = deque()

    @classmethod
    async def begun(cls, batch: Batch, files: Sequence[Path], listener: Listener) -> _Work:
        work = cls(batch, listener)
        work.tasks.extend(asyncio.create_task(work._file(*file)) for file in enumerate(files))
        return work

    async def end(self) -> None:
        """Cancel what still runs and wait until the children are gone."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._analyser.close()

    async def _file(self, number: int, file: Path) -> Mapped | Unmapped:
        async with self._turns:
            try:
                return await self._mapped(number, file)
            except OSError as error:
                return Unmapped(error.strerror or str(error))
            except (UndecodableAudio, AnalysisCrashed) as error:
                return Unmapped(f"{error.code}: {error.detail}")
            finally:
                self._listener.ended(number)

    async def _mapped(self, number: int, file: Path) -> Mapped:
        began = time.perf_counter()
        audio_sha256 = await asyncio.to_thread(_sha256, file)
        analysed = await self._analyser.analyse(
            file,
            self._batch.settings,
            lambda stage, percent: self._listener.progressed(number, stage, percent),
        )
        line = await asyncio.to_thread(_rendered, file, audio_sha256, analysed)
        if self._batch.keep:
            await asyncio.to_thread(self._batch.keep, number, line)
        return Mapped(analysed, line, time.perf_counter() - began)


def _sha256(file: Path) -> str:
    if file.exists() and not file.is_file():
        # A pipe cannot be read twice, for its hash and for its sound.
        raise OSError(None, "a folder, name the files in it" if file.is_dir() else "no regular file")
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _rendered(file: Path, audio_sha256: str, analysed: Analysed) -> bytes:
    """Return the map as a server renders version 1 of a track with this audio, as a line."""
    metrics = figures(analysed.duration_ms, analysed.beats_ms, None, analysed.agreement)
    rendered = genesis_map.render(
        analysed,
        track_id=str(uuid5(_AUDIO, audio_sha256)),
        version=1,
        # A name that is no UTF-8 on disk cannot stand in JSON as it is.
        filename=file.name.encode(errors="replace").decode(),
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        audio_sha256=audio_sha256,
        metrics=global_metrics(metrics),
    )
    return rendered.content + b"\n"


async def _outcome(task: asyncio.Task[Mapped | Unmapped]) -> Mapped | Unmapped:
    return await task
