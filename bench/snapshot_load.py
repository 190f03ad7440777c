"""Loading a track: one of 10,000 events against one of 100, side by side in one run.

`python -m bench.snapshot_load` prints docs/benchmarks.md's table "Loading a stream". Every load is that of a
process that has just started: nothing in memory, one snapshot (if there is one) and the tail from Postgres.
The streams take turns, so whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from adapters.postgres.access import Access
from adapters.postgres.snapshots import PostgresSnapshots
from commands.states import States
from domain.track.decider import TRACK
from tests.servers.ledgers import Ledger, open_ledger
from tests.servers.long_tracks import lengthen, write_track
from tests.servers.postgres import running_test_server

ROUNDS = 300
LONG = 10_000


def main() -> None:
    """Print the table of load times."""
    with (
        tempfile.TemporaryDirectory(prefix="beatledger-bench-") as path,
        running_test_server(Path(path)) as server,
        server.database() as access,
    ):
        asyncio.run(_run(access))


async def _run(access: Access) -> None:
    async with open_ledger(access.serving) as ledger:
        streams = {
            "100 events, no snapshot": await write_track(ledger.store, 100),
            "10,000 events, snapshot and a tail of 0": await _with_snapshot(ledger, 0),
            "10,000 events, snapshot and a tail of 100": await _with_snapshot(ledger, 100),
            "10,000 events, snapshot and the longest tail, 199": await _with_snapshot(ledger, 199),
        }
        bare = await write_track(ledger.store, LONG)
        times = await _measured(ledger, streams, ROUNDS)
        times |= await _measured(ledger, {"10,000 events, read whole": bare}, 5, snapshot_every=10**9)
    _print(times)


async def _with_snapshot(ledger: Ledger, tail: int) -> UUID:
    """Write a track of 10,000 events whose snapshot stands `tail` events before its end."""
    stream = await write_track(ledger.store, LONG - tail)
    states = _fresh(ledger)
    await states.load(TRACK.at(stream, ""))
    await states.close()
    await lengthen(ledger.store, stream, LONG - tail, tail)
    return stream


async def _measured(
    ledger: Ledger, streams: Mapping[str, UUID], rounds: int, snapshot_every: int = 200
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            states = _fresh(ledger, snapshot_every)
            began = time.perf_counter()
            await states.load(TRACK.at(stream, ""))
            times[name].append((time.perf_counter() - began) * 1000)
    return times


def _fresh(ledger: Ledger, snapshot_every: int = 200) -> States:
    return States(ledger.store, PostgresSnapshots(ledger.pool), snapshot_every=snapshot_every)


def _print(times: Mapping[str, list[float]]) -> None:
    reference = statistics.median(next(iter(times.values())))
    print("| stream | median ms | p95 ms | ratio of medians |")
    print("|---|---|---|---|")
    for name, taken in times.items():
        median = statistics.median(taken)
        p95 = statistics.quantiles(taken, n=20)[-1]
        print(f"| {name} | {median:.2f} | {p95:.2f} | {median / reference:.2f} |")


if __name__ == "__main__":
    main()
