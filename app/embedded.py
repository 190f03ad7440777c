"""The embedded profile: Postgres for events and read models, a folder for the artefacts, one process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.artefacts.folder import FolderArtefacts
from adapters.audio.analyser import ChildAnalyser
from adapters.postgres.access import Access
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.flush_bell import FlushBell
from adapters.postgres.jobs import PostgresJobQueue
from adapters.postgres.pool import make_pool
from adapters.postgres.processes import process_ports
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.postgres.tail import PostgresLog
from app.ports import Ports
from app.settings import TOKEN_SECRET, Embedded


@asynccontextmanager
async def embedded(settings: Embedded, folder: DataFolder, access: Access) -> AsyncGenerator[Ports]:
    """Yield the open ports of a migrated data folder; call it from the main thread's event loop."""
    pool = make_pool(access.serving, max_size=20)
    await pool.open()
    bell = FlushBell()
    queue = AppendQueue(access.serving, bell.ring)
    analyser = ChildAnalyser(
        settings.analysis_workers, settings.probers, cap_s=settings.max_audio_minutes * 60
    )
    try:
        yield Ports(
            events=PostgresEventStore(queue, pool),
            log=PostgresLog(pool, bell),
            snapshots=PostgresSnapshots(pool),
            documents=PostgresDocuments(pool),
            jobs=PostgresJobQueue(pool),
            processes=process_ports(pool),
            accounts=PostgresAccounts(pool),
            artefacts=FolderArtefacts(folder.artefacts),
            analyser=analyser,
            incoming=folder.incoming,
            secret=settings.secret.get_secret_value() if settings.secret else folder.secret(TOKEN_SECRET),
        )
    finally:
        await analyser.close()
        # In a thread, because it waits for the flusher, which answers into this loop.
        await asyncio.to_thread(queue.close)
        await pool.close()


def empty_incoming(folder: DataFolder) -> None:
    """Remove the remains of interrupted uploads; no other process writes there meanwhile."""
    for left in folder.incoming.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
