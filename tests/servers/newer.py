"""`python -m tests.servers.newer …` is `beatledger` of the next version, which knows two shapes more.

It stands for what a rolling upgrade brings: a writer that is newer than some of the readers.
"""

from __future__ import annotations

import sys
from uuid import uuid4

import msgspec

from app.cli import main
from domain.events import REGISTRY
from domain.log import NewEvent
from domain.registry import Event, EventType
from domain.track.events import AnalysisQueued

COMMAND = (sys.executable, "-m", "tests.servers.newer")


class TrackBlessed(Event, frozen=True):
    """A type of event that this version does not know."""

    by: str


class AnalysisQueuedNext(AnalysisQueued, frozen=True):
    """A schema version that this version does not know."""

    venue: str = ""


_QUEUED = REGISTRY.types["track.analysis_queued"]
BLESSED = EventType("track.blessed", TrackBlessed)
QUEUED_NEXT = EventType(
    _QUEUED.name,
    AnalysisQueuedNext,
    _QUEUED.version + 1,
    {**_QUEUED.upcasters, _QUEUED.version: lambda data: {**data, "venue": ""}},
)


def blessed() -> NewEvent:
    """Return an event of the unknown type."""
    return NewEvent(uuid4(), BLESSED.name, 1, b'{"by":"a newer writer"}')


def queued_next(queued: AnalysisQueued) -> NewEvent:
    """Return it as the newer writer writes it."""
    data = msgspec.to_builtins(queued) | {"venue": "the yard"}
    return NewEvent(uuid4(), QUEUED_NEXT.name, QUEUED_NEXT.version, msgspec.json.encode(data))


if __name__ == "__main__":
    REGISTRY.types[BLESSED.name] = BLESSED
    REGISTRY.types[QUEUED_NEXT.name] = QUEUED_NEXT
    main()
