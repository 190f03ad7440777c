"""The readiness checks of a process, one for each part it needs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from adapters.kafka.relay import Relay
from adapters.kafka.relay_standing import relay_standing
from adapters.postgres.pool import Pool
from api.rest.health import Readiness
from app.ports import Ports
from commands.process import Process
from domain.errors import NotFound, Unavailable
from domain.lag import Lag
from projections.queries import Views

LATE_S = 60.0
"""A projector with views further behind is not ready; it still works, and an operator should look."""

_NOTHING_SHA256 = hashlib.sha256(b"").hexdigest()


def store_ready(ports: Ports) -> Readiness:
    """The event store answers. A clock behind the log is named, but nothing waits for it."""

    async def check() -> str:
        head, clock = await ports.events.head(), await ports.events.clock()
        return f"at position {head}; {clock}" if clock.behind_s else f"at position {head}"

    return {"event store": check}


def artefacts_ready(ports: Ports) -> Readiness:
    """The artefact store answers and has accepted a write."""

    async def check() -> str:
        try:
            await ports.artefacts.size(_NOTHING_SHA256)
        except NotFound:
            # A new store answers so, and one whose bucket is gone.
            await ports.artefacts.put(b"")
        return "reached"

    return {"artefacts": check}


def relay_ready(pool: Pool, relay: Relay) -> Readiness:
    """The relay sends the log to Kafka, whichever process leads."""

    async def check() -> str:
        if relay.refused:
            raise Unavailable(relay.refused)
        standing = await relay_standing(pool)
        behind = Lag(standing.lag_events, standing.lag_s)
        if standing.lag_s > LATE_S:
            raise Unavailable(f"Kafka is {behind}")
        return f"{'leads' if relay.leading else 'stands by'} at position {standing.position}, {behind}"

    return {"relay": check}


def follows(process: Process) -> Readiness:
    """A process manager is at most a minute behind the log; parked keys are only reported."""

    async def check() -> str:
        behind = await process.lag(datetime.now(UTC))
        if behind is not None and (behind.ahead or behind.seconds > LATE_S):
            raise Unavailable(str(behind))
        return "nothing to read yet" if behind is None else str(behind)

    async def parked() -> str:
        keys = await process.parked()
        if not keys:
            return "none"
        named = ", ".join(key.key for key in keys[:5])
        return f"{len(keys)} ({named}{', …' if len(keys) > 5 else ''}): see `beatledger processes parked`"

    return {"lag": check, "parked": parked}


def views_served(views: Views) -> Readiness:
    """Every view has a serving generation. Its lag is reported but does not make it unready."""

    async def check() -> str:
        statuses = await views.status()
        if unbuilt := [status.view for status in statuses if not status.generation]:
            raise Unavailable(f"views being built: {', '.join(unbuilt)}")
        return "; ".join(f"{status.view} {Lag(status.lag_events, status.lag_s)}" for status in statuses)

    return {"views": check}


def views_follow(views: Views) -> Readiness:
    """No view is more than a minute behind the log, or ahead of it."""

    async def check() -> str:
        statuses = await views.status()
        if (ahead := min(s.lag_events for s in statuses)) < 0:
            raise Unavailable(f"a view is {Lag(ahead, 0.0)}")
        if late := [status.view for status in statuses if status.lag_s > LATE_S]:
            raise Unavailable(f"more than {LATE_S:g} s behind: {', '.join(late)}")
        return str(Lag(max(s.lag_events for s in statuses), max(s.lag_s for s in statuses)))

    return {"lag": check}
