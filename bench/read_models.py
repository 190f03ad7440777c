"""What the read side's benchmarks share: a server with migrated databases, and a log of tracks' lives."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from adapters.postgres.access import Access
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.flush_bell import FlushBell
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import Pool, make_pool
from adapters.postgres.roles import create_roles
from adapters.postgres.server import EmbeddedPostgres
from adapters.postgres.tail import PostgresLog
from domain import ids
from domain.events import REGISTRY
from domain.log import Metadata, Slice
from domain.registry import Event
from domain.track import events as e
from projections.views import VIEWS

BEATS = tuple(500.0 + 468.75 * n for n in range(512))
"""A four-minute song at 128 BPM."""

METRICS = e.Metrics(
    240_000.0, 128.0, 0.97, 0.91, "self-agreement", e.MetricsReference("agreement", "flux+kl", 512)
)
ARTEFACTS = {
    name: e.Artefact("ab" * 32, 40_000, "application/json") for name in ("genesis-map", "metrics", "manifest")
}


@contextmanager
def database() -> Generator[Access]:
    """Give a migrated database on an embedded server, fsync on."""
    with tempfile.TemporaryDirectory(prefix="beatledger-bench-") as path:
        folder = DataFolder(Path(path))
        with folder.hold():
            postgres = EmbeddedPostgres(folder)
            postgres.start()
            try:
                access = postgres.access()
                create_roles(access)
                migrate(access.owner, index_statements(VIEWS))
                yield access
            finally:
                postgres.stop()


@asynccontextmanager
async def process(access: Access) -> AsyncGenerator[tuple[PostgresEventStore, PostgresLog, Pool]]:
    """Give the event store and the log as one process has them."""
    bell = FlushBell()
    queue = AppendQueue(access.serving, bell.ring)
    async with make_pool(access.serving) as pool:
        try:
            yield PostgresEventStore(queue, pool), PostgresLog(pool, bell), pool
        finally:
            queue.close(patience_s=1.0)


def life(track: UUID, number: int) -> list[Event]:
    """Return ten events: upload, analysis, two corrections by hand, and changes of the title."""
    job, reason = ids.job_id(track, 1), "upload"
    made = (METRICS, ARTEFACTS, "cd" * 32, (), "1.0.0")
    # fmt: off
    return [
        e.TrackUploaded(track, f"Song {number}", "Ada", ("a", f"tag-{number % 50}"), "edm", "song.mp3",
                        "audio/mpeg", "ef" * 32, 9_000_000, 240_000.0),
        e.AnalysisQueued(job, 1, "edm", None, "beatledger", 5, reason),
        e.AnalysisStarted(job, 1, "worker-1"),
        e.AnalysisCompleted(1, BEATS, BEATS[::4], *made, job, 1, "beatledger 1", {"preset": "edm"}, 900.0),
        e.TrackDescribed(title=f"Song {number}, again"),
        e.BeatOverrideApplied(2, BEATS, BEATS[::4], *made, 1, {"edit": "offset", "offset_ms": 4.0}, "late"),
        e.TrackDescribed(tags=("a", "b")),
        e.BeatOverrideReverted(3, BEATS, BEATS[::4], *made, 1),
        e.TrackDescribed(artist="Ada L."),
        e.TrackDescribed(title=f"Song {number}"),
    ]
    # fmt: on


async def tell(events: PostgresEventStore, track: UUID, new: list[Event], after: int = 0) -> int:
    """Append events to a track's stream, and return the position of the last one."""
    packed = tuple(REGISTRY.encode(event, uuid4()) for event in new)
    command = uuid4()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    metadata = Metadata("user:ada", command, None, command, trace)
    return (await events.append([Slice(track, after, "track", str(track), packed)], metadata)).position


async def fill(events: PostgresEventStore, tracks: int) -> int:
    """Append that many tracks' lives, a hundred tracks mixed at a time; returns the number of events."""
    for start in range(0, tracks, 100):
        lives = {uuid4(): n for n in range(start, min(start + 100, tracks))}
        for step in range(10):
            told = [tell(events, track, life(track, n)[step : step + 1], step) for track, n in lives.items()]
            await asyncio.gather(*told)
    return tracks * 10
