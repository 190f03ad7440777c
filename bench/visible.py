"""Command to visible document, embedded: append, projector in the same process, then a find with the token.

`python -m bench.visible` prints the table "Command to visible" of docs/benchmarks.md: milliseconds from
before the append until a list that waited for its token shows the change, all four views being projected.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from uuid import uuid4

import uvloop

from adapters.postgres.access import Access
from adapters.postgres.documents import PostgresDocuments
from adapters.postgres.event_store import PostgresEventStore
from bench.read_models import database, fill, life, process, tell
from domain.consistency import encode_token
from domain.events import REGISTRY
from domain.track.events import TrackDescribed
from projections.named_tasks import end
from projections.progress import Progress
from projections.queries import Query, Views, Wait
from projections.supervisor import Projections
from projections.views import VIEWS

TRACKS = 500
COMMANDS = 400


def main() -> None:
    """Print quantiles for one client and for eight at once."""
    with database() as access:
        measured = uvloop.run(_measure(access))
    print(
        "| clients | append p50 ms | append p95 ms | visible p50 ms | visible p95 ms |\n|---|---|---|---|---|"
    )
    for clients, samples in measured.items():
        cells = [f"{q:.1f}" for times in zip(*samples, strict=True) for q in _quantiles(times)]
        print(f"| {clients} | {' | '.join(cells)} |")


def _quantiles(times: tuple[float, ...]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=20)
    return cuts[9], cuts[18]


async def _measure(access: Access) -> dict[int, list[tuple[float, float]]]:
    async with process(access) as (events, log, pool):
        store, progress = PostgresDocuments(pool), Progress()
        await fill(events, TRACKS)
        views = Views(store, VIEWS, events, progress)
        task = asyncio.create_task(Projections(VIEWS, store, log, events, REGISTRY, progress).run())
        caught_up = Wait(encode_token({"0": await events.head()}), 60.0)
        for view in VIEWS:
            await views.count(view.name, (), caught_up)
        measured = {clients: await _clients(events, views, clients) for clients in (1, 8)}
        await end([task])
    return measured


async def _clients(events: PostgresEventStore, views: Views, clients: int) -> list[tuple[float, float]]:
    each = await asyncio.gather(*(_client(events, views, COMMANDS // clients) for _ in range(clients)))
    return [sample for samples in each for sample in samples]


async def _client(events: PostgresEventStore, views: Views, commands: int) -> list[tuple[float, float]]:
    """Return, in ms, how long each append took and when its effect was seen."""
    track, samples = uuid4(), list[tuple[float, float]]()
    await tell(events, track, life(track, 0)[:1])
    for revision in range(1, commands + 1):
        began = time.perf_counter()
        position = await tell(events, track, [TrackDescribed(title=f"Title {revision}")], revision)
        appended = time.perf_counter()
        wait = Wait(encode_token({"0": position}), 5.0)
        page = await views.find("track_list", Query(limit=20), wait)
        seen = time.perf_counter()
        shown = next(item for item in page.items if item["track_id"] == str(track))
        assert shown["title"] == f"Title {revision}"
        samples.append(((appended - began) * 1000, (seen - began) * 1000))
    return samples


if __name__ == "__main__":
    main()
