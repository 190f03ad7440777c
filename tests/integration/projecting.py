"""A process that projects until it is killed: `python -m tests.integration.projecting CONNINFO`."""

from __future__ import annotations

import asyncio
import sys

from adapters.postgres.documents import PostgresDocuments
from domain.events import REGISTRY
from projections.progress import Progress
from projections.supervisor import Projections
from projections.views import VIEWS
from tests.servers.ledgers import open_ledger


async def main(serving: str) -> None:
    async with open_ledger(serving) as ledger:
        store = PostgresDocuments(ledger.pool)
        await Projections(VIEWS, store, ledger.log, ledger.store, REGISTRY, Progress()).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
