"""The distributed profile: Postgres for all writes, Kafka between it and the readers, MongoDB for the read
models, a bucket for the artefacts; each role scales as processes of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.artefacts.s3 import S3Artefacts
from adapters.audio.analyser import ChildAnalyser
from adapters.kafka.layout import load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.relay import Relay
from adapters.mongo.documents import MongoDocuments
from adapters.mongo.server import MongoServer
from adapters.postgres.accounts import PostgresAccounts
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.jobs import PostgresJobQueue
from adapters.postgres.pool import Pool, make_pool
from adapters.postgres.processes import process_ports
from adapters.postgres.snapshots import PostgresSnapshots
from app.incoming import private_folder
from app.ports import Ports
from app.settings import Distributed
from projections.views import VIEWS


@asynccontextmanager
async def distributed(settings: Distributed) -> AsyncGenerator[Ports]:
    """Yield the open ports of a migrated installation; its servers may be unreachable for a time.

    Call it from the main thread's event loop. Raises CannotStart; Unavailable if Postgres is unreachable or
    not migrated.
    """
    conninfo = settings.database_url.get_secret_value()
    queue = AppendQueue(conninfo)
    analyser = ChildAnalyser(
        settings.analysis_workers, settings.probers, cap_s=settings.max_audio_minutes * 60
    )
    mongo = MongoServer(settings.mongo_url.get_secret_value())
    try:
        with private_folder(settings.data_dir / "incoming") as incoming:
            async with serving_pool(settings) as pool:
                yield Ports(
                    events=PostgresEventStore(queue, pool),
                    log=KafkaLog(pool, settings.kafka_bootstrap, await load_layout(pool)),
                    snapshots=PostgresSnapshots(pool),
                    documents=MongoDocuments(mongo, VIEWS),
                    jobs=PostgresJobQueue(pool),
                    processes=process_ports(pool),
                    accounts=PostgresAccounts(pool),
                    artefacts=S3Artefacts(settings.artefacts_url),
                    analyser=analyser,
                    incoming=incoming,
                    secret=settings.secret.get_secret_value(),
                )
    finally:
        await analyser.close()
        # In a thread, because it waits for the flusher, which answers into this loop.
        await asyncio.to_thread(queue.close)
        await mongo.close()


def serving_pool(settings: Distributed) -> Pool:
    """Return a pool of the serving role; it is not open yet."""
    return make_pool(settings.database_url.get_secret_value(), max_size=20)


def relay_of(settings: Distributed) -> Relay:
    """Return the relay, which needs only Postgres and Kafka."""
    return Relay(settings.database_url.get_secret_value(), settings.kafka_bootstrap)
