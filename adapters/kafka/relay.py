"""Sends the event store's log to Kafka by position: nothing missing, first occurrences in order.

One relay leads, any number stand by. The leader sends, waits for the acknowledgements, and only then moves
the checkpoint, so its successor repeats a few events and skips none. Consumers recognise a repeated event
by its revision. docs/adr/0007-kafka-as-the-log.md has the measurements and rejected alternatives.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

import structlog

from adapters.kafka.clients import administering
from adapters.kafka.cloud_events import LogPosition
from adapters.kafka.histories import last_positions, refuse_another_history
from adapters.kafka.layout import Layout
from adapters.kafka.outbox import RecordsLost
from adapters.kafka.relay_session import Checkpoint, RelaySession, relay_session
from adapters.kafka.sending import Sending, open_sending
from adapters.kafka.subscription import LOOK_S
from adapters.kafka.topics import TopicsRefused, check_topics, end_offsets
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

STAND_BY_S = 0.5
"""The interval at which a standby tries to take the lead."""
CHUNK = 500
"""The most events sent between two checkpoints."""
MARK_S = 0.25
"""The shortest time between two markers of a partition."""
NOTICE_S = 3 * LOOK_S
"""The time within which every running member notices that its group has lost its position."""
_POLL_S = (0.005, 0.25)
_AGAIN_S = (0.2, 5.0)
_GRACE_S = 5.0


class Relay:
    """The relay of one process; `leading` says whether this one sends.

    `refused` is the reason why it can't lead at the moment, or until an operator acts.
    """

    def __init__(self, serving_conninfo: str, bootstrap: str) -> None:
        self._conninfo = serving_conninfo
        self._bootstrap = bootstrap
        self._stopping = asyncio.Event()
        self.leading = False
        self.refused: str | None = None
        self._told: str | None = None

    async def run(self) -> None:
        """Lead or stand by until cancelled; then finish the current chunk and give up the lead.

        Postgres and Kafka may be unreachable for a time: the relay then starts again at the checkpoint, and
        logs it.
        """
        self._stopping.clear()
        working = asyncio.create_task(self._work())
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self._stopping.set()
            await _finish(working)
            raise
        finally:
            while not working.done():
                working.cancel()
                await asyncio.wait([working], timeout=1.0)

    async def _work(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                async with relay_session(self._conninfo) as session:
                    await self._stand_by(session)
                    await self._lead(session)
            except (Unavailable, TopicsRefused, RecordsLost) as error:
                self.refused = str(error)
                failures = 1 if time.monotonic() - began > _AGAIN_S[1] else failures + 1
                wait_s = min(_AGAIN_S[0] * 2 ** min(failures, 10), _AGAIN_S[1]) * random.uniform(0.5, 1)  # noqa: S311
                self._tell(error)
                await self._pause(wait_s)

    def _tell(self, error: Exception) -> None:
        """Log the reason that prevents leading, once, and again when it changes or after leading."""
        told = str(error) if isinstance(error, TopicsRefused) else type(error).__name__
        if told != self._told:
            self._told = told
            log.warning("relay.begins_again", error=str(error), cause=repr(error.__cause__))

    async def _stand_by(self, session: RelaySession) -> None:
        told = False
        while not self._stopping.is_set() and not await session.take_lead():
            self.refused = None
            if not told:
                log.info("relay.stands_by")
                told = True
            await self._pause(STAND_BY_S)

    async def _lead(self, session: RelaySession) -> None:
        if self._stopping.is_set():
            return
        layout = await session.layout()
        checkpoint = await self._checked(session, layout)
        async with open_sending(self._bootstrap, layout, session) as sending:
            log.info("relay.leads", position=checkpoint.reached.position)
            self.leading, self.refused, self._told = True, None, None
            try:
                await session.listen()
                await self._carry(session, sending, checkpoint)
            except RecordsLost:
                # Reset at once: later the end of a shard may have passed the recorded offset again, and
                # hide the loss.
                await self._reset_groups(session)
                raise
            finally:
                self.leading = False
                log.info("relay.leads_no_more")

    async def _checked(self, session: RelaySession, layout: Layout) -> Checkpoint:
        """Return the checkpoint, after a check that Kafka has its records and holds the same history."""
        checkpoint = await session.checkpoint()

        def look() -> tuple[dict[str, int], dict[str, LogPosition]]:
            with administering(self._bootstrap) as admin:
                check_topics(admin, layout)
                ended = end_offsets(admin, list(layout.partitions))
            ends = {layout.shard(partition): offset for partition, offset in ended.items()}
            return ends, last_positions(self._bootstrap, layout)

        looking = asyncio.ensure_future(asyncio.to_thread(look))
        await session.waiting_for(looking)
        there, last = looking.result()
        head, ids = await session.history({at.position for at in last.values()})
        refuse_another_history(last, head, ids)
        if lost := [shard for shard, offset in checkpoint.offsets.items() if there.get(shard, 0) < offset]:
            log.error("relay.records_lost", shards=lost)
            await self._reset_groups(session)
            return Checkpoint(checkpoint.reached, {})
        return checkpoint

    async def _reset_groups(self, session: RelaySession) -> None:
        """Reset every group, and send nothing until all members have noticed.

        A member that has not noticed would take the next event for the successor of the lost ones: its
        watermark would move past them, and it would not read them from the event store.
        """
        await session.forget_groups()
        await session.waiting_for(asyncio.ensure_future(self._pause(NOTICE_S)))

    async def _carry(self, session: RelaySession, sending: Sending, checkpoint: Checkpoint) -> None:
        reached, offsets = checkpoint.reached, checkpoint.offsets
        marked, marked_at = 0, 0.0
        wait_s = _POLL_S[0]
        while not self._stopping.is_set():
            before = reached
            rows, reached = await session.read(before, CHUNK)
            mark = reached.position > marked and time.monotonic() - marked_at >= MARK_S
            if not rows and reached == before and not mark:
                await session.wait(wait_s)
                wait_s = min(wait_s * 2, _POLL_S[1])
                continue
            if mark:
                marked, marked_at = reached.position, time.monotonic()
            offsets = await sending.send(rows, reached if mark else None, offsets)
            if reached != before:
                wait_s = _POLL_S[0]
            await session.move_checkpoint(reached.position, offsets)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def _finish(working: asyncio.Task[None]) -> None:
    """Give it time to end, even if cancellations keep arriving."""
    deadline = time.monotonic() + _GRACE_S
    while not working.done() and time.monotonic() < deadline:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([working], timeout=deadline - time.monotonic())
