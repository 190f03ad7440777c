"""A process that projects until killed: `python -m tests.integration.projecting CONNINFO [MONGO-URL]`."""

from __future__ import annotations

import asyncio
import sys

from domain.events import REGISTRY
from projections.progress import Progress
from projections.supervisor import Projections
from projections.views import VIEWS
from tests.servers.ledgers import open_ledger
from tests.servers.read_models import open_documents


async def main(serving: str, mongo_url: str | None = None) -> None:
    async with open_ledger(serving) as ledger, open_documents(ledger, mongo_url) as store:
        await Projections(VIEWS, store, ledger.log, ledger.store, REGISTRY, Progress()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
