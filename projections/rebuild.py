"""Builds a view again from the event store while the old generation serves, then switches to the new one.

This order misses no event: read the end of the log, then the end of the event store (every event before the
former is before the latter), then all of history up to there, then the log from its noted end. Every step
can be repeated, also by two processes at once, so an interrupted build simply continues.

Two builders do no harm but twice the work. So a process leaves a build to the one that began it as long as
its watermarks move; and because each process runs only a few builds at a time, several processes divide the
views.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import structlog

from domain.errors import NotFound, Unavailable
from domain.log import Batch, EventStore, Log
from domain.registry import Registry
from projections.documents import DocumentStore, Generation, GenerationGone
from projections.named_tasks import end
from projections.progress import Progress
from projections.projector import BATCH, Projector
from projections.view import View

_logger = structlog.get_logger(__name__)

AT_ONCE = 2
"""Builds of one process at a time: enough to keep Python and the stores busy."""
STALLED_S = 3.0
"""A build that has not moved for this long has lost its builder."""
LOOK_S = 0.2
"""The interval at which a build of another process is checked."""
SWITCH_POLL_S = 0.01
"""The interval at which a following generation tries to take over, besides after its own writes."""


async def rebuild(
    view: View,
    store: DocumentStore,
    log: Log,
    events: EventStore,
    registry: Registry,
    progress: Progress,
    turns: asyncio.Semaphore,
) -> Generation:
    """Build a new generation of a view, or continue an unfinished one, and return when it serves.

    `turns` limits the builds of this process. The server may run and project meanwhile, in any process.
    Raises Unavailable: start again.
    """
    async with turns:
        there = await store.generations(view.name)
        generation = await store.begin(view.name, view.version)
        projector = Projector(view, generation, store, registry, progress)
        if generation.state == "building" and generation not in there:
            await _fold_history(view, generation, projector, store, log, events)
    if generation.state == "building" and generation in there and await _was_left(generation, store):
        async with turns:
            await _fold_history(view, generation, projector, store, log, events)
    following = asyncio.create_task(follow(view, generation, projector, store, log, events))
    try:
        moved = progress.next(view.name)
        while not await store.switch(generation) and not following.done():
            await asyncio.wait([moved, following], timeout=SWITCH_POLL_S, return_when=asyncio.FIRST_COMPLETED)
            moved = progress.next(view.name)
        if following.done():
            following.result()
            raise Unavailable(
                f"generation {generation.number} of {view.name} was dropped meanwhile: start again"
            )
    finally:
        await end([following])
    progress.announce(view.name)
    return replace(generation, state="serving")


async def _was_left(generation: Generation, store: DocumentStore) -> bool:
    """Wait while another process makes progress with its build; return True if it stopped before the end."""
    reached, moved_at = await store.watermarks(generation), time.monotonic()
    while generation in await store.generations(generation.view):
        if (now := await store.watermarks(generation)) != reached:
            reached, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STALLED_S:
            return True
        await asyncio.sleep(LOOK_S)
    return False


async def follow(
    view: View,
    generation: Generation,
    projector: Projector,
    store: DocumentStore,
    log: Log,
    events: EventStore,
) -> None:
    """Follow the log until the generation is retired.

    If its group lost its position in the log (Kafka deleted it, or was emptied), the missed events come
    from the event store, and the group is started again. Raises Unavailable: start again.
    """
    while True:
        try:
            return await projector.run(log)
        except NotFound as lost:
            _logger.warning("projections.group_gone", group=generation.group, error=str(lost))
            try:
                # Another process has restarted the group: join it again.
                if not await log.group_exists(generation.group):
                    await _fold_history(view, generation, projector, store, log, events)
            except GenerationGone:
                return None


async def _fold_history(
    view: View,
    generation: Generation,
    projector: Projector,
    store: DocumentStore,
    log: Log,
    events: EventStore,
) -> None:
    offsets = await log.end_offsets(view.categories)
    head = await events.head()
    reached = await store.watermarks(generation)
    position = min((reached.get(shard, 0) for shard in offsets), default=0)
    while position < head:
        page = await events.read_log(position, BATCH, up_to=head, categories=view.categories)
        position = page[-1].position if page.more else head
        # Written with the watermarks, so that a successor continues here.
        await projector.handle(Batch(tuple(page), dict.fromkeys(offsets, position)))
    await store.write(generation, (), (), dict.fromkeys(offsets, head))
    await log.start_group(generation.group, offsets)
    await store.follow(generation)
