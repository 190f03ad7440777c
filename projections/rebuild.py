"""Builds a view anew from the event store while the old generation serves, then switches between the two.

In this order nothing is missed: where the log ends, then where the event store ends (every event before the
former is before the latter), then all of history up to there, then the log from where it ended. Every step
can be done again, or by two processes at once, so a build that was interrupted is simply gone on with.

Two do no harm, but twice the work. So whoever finds a build begun by another leaves it to them as long as its
watermarks move; and with a few builds at a time in a process, several processes share out the views.
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
"""Builds in one process at a time: as many as keep Python and the stores busy."""
STALLED_S = 3.0
"""A build that has not moved for so long was left by whoever began it."""
LOOK_S = 0.2
"""How often a build that is left to another process is looked at."""
SWITCH_POLL_S = 0.01
"""How often a generation that follows the log tries to take over, besides after its own writes."""


async def rebuild(
    view: View,
    store: DocumentStore,
    log: Log,
    events: EventStore,
    registry: Registry,
    progress: Progress,
    turns: asyncio.Semaphore,
) -> Generation:
    """Build a new generation of a view, or go on with the one being built, and return when it serves.

    `turns` are those of this process. The server may run and project meanwhile, in this process or another.
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
    """Wait while whoever began a generation gets on with it; say whether they stopped before the end."""
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

    Where its group lost its place in the log (Kafka forgot it, or was emptied), what it missed comes from the
    event store, and the group begins anew. Raises Unavailable: start again.
    """
    while True:
        try:
            return await projector.run(log)
        except NotFound as lost:
            _logger.warning("projections.group_gone", group=generation.group, error=str(lost))
            try:
                # Started anew by another process, it only has to be joined again.
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
        # With the watermarks, so that whoever goes on with it begins here.
        await projector.handle(Batch(tuple(page), dict.fromkeys(offsets, position)))
    await store.write(generation, (), (), dict.fromkeys(offsets, head))
    await log.start_group(generation.group, offsets)
    await store.follow(generation)
