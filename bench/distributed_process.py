"""One process of the distributed benchmark: `python -m bench.distributed_process ROLE CONNINFO KAFKA`.

The product's own loops (relay or projector), but with the documents in Postgres: no real MongoDB is at hand,
and its stand-in scans.
"""

from __future__ import annotations

import sys

import uvloop

from adapters.kafka.layout import load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.relay import Relay
from adapters.postgres.append_queue import AppendQueue
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import make_pool
from domain.events import REGISTRY
from projections.progress import Progress
from projections.supervisor import Projections
from projections.views import VIEWS


async def relay(conninfo: str, bootstrap: str) -> None:
    """Carry the log into Kafka until killed."""
    await Relay(conninfo, bootstrap).run()


async def projector(conninfo: str, bootstrap: str) -> None:
    """Fold all views until killed."""
    async with make_pool(conninfo) as pool:
        events = PostgresEventStore(AppendQueue(conninfo), pool)
        log = KafkaLog(pool, bootstrap, await load_layout(pool))
        await Projections(VIEWS, PostgresDocuments(pool), log, events, REGISTRY, Progress()).run()


if __name__ == "__main__":
    role, conninfo, bootstrap = sys.argv[1:]
    uvloop.run({"relay": relay, "projector": projector}[role](conninfo, bootstrap))
