"""A distributed installation's log over a test's database and Kafka, and relays as processes to be killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from adapters.kafka.layout import load_layout
from adapters.kafka.log import KafkaLog
from adapters.kafka.relay import Relay, relay_standing
from adapters.kafka.topics import create_topics
from adapters.postgres.access import Access
from projections.named_tasks import end
from tests.servers.ledgers import Ledger
from tests.servers.postgres import OwnPostgres

ROOT = Path(__file__).parents[2]


def make_topics(access: Access | OwnPostgres, bootstrap: str, partitions: int = 2) -> str:
    """Create topics of the test's own, as `beatledger migrate` does; returns what their names begin with."""
    namespace = f"t{uuid4().hex[:12]}"
    create_topics(access.owner, bootstrap, namespace, partitions)
    return namespace


async def open_log(ledger: Ledger, bootstrap: str) -> KafkaLog:
    """Return the log as another part of the ledger's process."""
    return KafkaLog(ledger.pool, bootstrap, await load_layout(ledger.pool))


@asynccontextmanager
async def relaying(serving: str, bootstrap: str) -> AsyncGenerator[Relay]:
    """Run a relay in this process around a block."""
    relay = Relay(serving, bootstrap)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end([task])


async def relayed(ledger: Ledger, within_s: float = 30) -> None:
    """Wait until everything in the event store is in Kafka."""
    async with asyncio.timeout(within_s):
        while (await relay_standing(ledger.pool)).lag_events:
            await asyncio.sleep(0.01)


async def start_relay(serving: str, bootstrap: str) -> asyncio.subprocess.Process:
    """Start a relay as a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.servers.relays", serving, bootstrap), cwd=ROOT
    )


if __name__ == "__main__":
    asyncio.run(Relay(sys.argv[1], sys.argv[2]).run())
