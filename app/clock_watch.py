"""Says in the log of the process when the database's clock is behind the log, and when it is right again."""

from __future__ import annotations

import asyncio

import structlog

from domain.errors import Unavailable
from domain.log import EventStore

log = structlog.get_logger(__name__)

_LOOK_S = 10.0
_LOOKS_TO_REMIND = 360


async def watch_clock(events: EventStore) -> None:
    """Watch until cancelled; while the clock is behind, say so again every hour."""
    looks_behind = 0
    while True:
        try:
            clock = await events.clock()
        except Unavailable:
            pass
        else:
            if clock.behind_s:
                if looks_behind % _LOOKS_TO_REMIND == 0:
                    log.warning("clock.behind_log", behind_s=clock.behind_s, log_time=str(clock.last))
                looks_behind += 1
            elif looks_behind:
                log.info("clock.right_again")
                looks_behind = 0
        await asyncio.sleep(_LOOK_S)
