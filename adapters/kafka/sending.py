"""Runs the leader's outbox in a thread of its own, and keeps the relay's session alive meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.kafka.cloud_events import LogPosition, Row
from adapters.kafka.layout import Layout
from adapters.kafka.outbox import Outbox, open_outbox
from adapters.kafka.relay_session import RelaySession


@dataclass(frozen=True, slots=True)
class Sending:
    """The outbox of this session's leader, behind its thread."""

    session: RelaySession
    outbox: Outbox
    thread: ThreadPoolExecutor

    async def send(
        self, rows: list[Row], marked: LogPosition | None, ends: Mapping[str, int]
    ) -> Mapping[str, int]:
        """See Outbox.send."""
        work = asyncio.wrap_future(self.thread.submit(self.outbox.send, rows, marked, ends))
        try:
            await self.session.waiting_for(work)
        finally:
            if not work.done():
                self.outbox.discard()
                await asyncio.wait([work])
        return work.result()


@asynccontextmanager
async def open_sending(bootstrap: str, layout: Layout, session: RelaySession) -> AsyncGenerator[Sending]:
    """Yield a connected outbox for the block, and close it. Raises Unavailable."""
    with ThreadPoolExecutor(1, "relay") as thread:
        opening = thread.submit(open_outbox, bootstrap, layout)
        try:
            await session.waiting_for(asyncio.wrap_future(opening))
            yield Sending(session, opening.result(), thread)
        finally:
            # Closes an outbox that was still opening when the session ended, too, because nobody else would.
            await asyncio.shield(asyncio.wrap_future(thread.submit(_close, opening)))


def _close(opened: Future[Outbox]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
