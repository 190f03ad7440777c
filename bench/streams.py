"""What it costs a command to look at many streams: assertions in an append, and loading them.

`python -m bench.streams` prints docs/benchmarks.md's table "A command over many streams". The two appends
alternate, so other load falls on both; their difference is the cost of the assertions.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

from adapters.postgres.access import Access
from domain.events import REGISTRY
from domain.log import Metadata, NewEvent, Slice
from domain.track.events import TrackDescribed
from tests.servers.ledgers import Ledger, open_ledger
from tests.servers.postgres import running_test_server

STREAMS = 5_000
ROUNDS = 30
_BY = Metadata("user:bench", UUID(int=1), None, UUID(int=1))


def main() -> None:
    """Print the median times."""
    with (
        tempfile.TemporaryDirectory(prefix="beatledger-bench-") as path,
        running_test_server(Path(path)) as server,
        server.database() as access,
    ):
        asyncio.run(_run(access))


async def _run(access: Access) -> None:
    async with open_ledger(access.serving) as ledger:
        streams = await _written(ledger)
        bare, asserting, reading = await _measured(ledger, streams)
    print("| median of 30 | ms |\n|---|---|")
    print(f"| append of one event | {bare:.1f} |")
    print(f"| append of one event with {STREAMS} assertions | {asserting:.1f} |")
    print(f"| the assertions | {asserting - bare:.1f} |")
    print(f"| reading the tails of {STREAMS} streams, nothing new | {reading:.1f} |")


async def _written(ledger: Ledger) -> list[UUID]:
    streams = [uuid4() for _ in range(STREAMS)]
    for first in range(0, STREAMS, 500):
        group = streams[first : first + 500]
        await ledger.store.append([Slice(s, 0, "track", str(s), (_event(),)) for s in group], _BY)
    return streams


async def _measured(ledger: Ledger, streams: list[UUID]) -> tuple[float, float, float]:
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    asserted = [Slice(stream, 1, "track", str(stream)) for stream in streams]
    after = dict.fromkeys(streams, 1)
    own = uuid4()
    for number in range(ROUNDS):
        for kind, others in ((0, []), (1, asserted)):
            slices = [Slice(own, 2 * number + kind, "track", str(own), (_event(),)), *others]
            began = time.perf_counter()
            await ledger.store.append(slices, _BY)
            times[kind].append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await ledger.store.read_streams(after)
        times[2].append((time.perf_counter() - began) * 1000)
    bare, asserting, reading = map(statistics.median, times)
    return bare, asserting, reading


def _event() -> NewEvent:
    return REGISTRY.encode(TrackDescribed("x"), uuid4())


if __name__ == "__main__":
    main()
