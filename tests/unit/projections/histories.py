"""Histories of tracks that the decider allows, made from a seed, and how they look when recorded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from domain import ids
from domain.errors import LedgerError
from domain.events import REGISTRY
from domain.recorded import Recorded
from domain.registry import Event
from domain.track import commands as c
from domain.track.decider import decide
from domain.track.state import INITIAL, Archived, Live, Ready, Track, evolve
from projections.documents import Stored
from projections.fold import fold
from projections.view import Document, View
from tests.unit.domain import tracks as t

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def track_id(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


def history(random: Random, track: UUID, length: int) -> list[Event]:
    """Return at least `length` events of one track, unless it was archived before."""
    state, events = INITIAL, list[Event]()
    command: c.TrackCommand = t.upload(track_id=track, title=f"Song {random.randrange(100)}")
    while True:
        try:
            new = decide(state, command)
        except LedgerError:
            new = ()
        state, events = reduce(evolve, new, state), [*events, *new]
        if len(events) >= length or isinstance(state, Archived):
            return events
        command = _command(random, state, track)


def _command(random: Random, state: Track, track: UUID) -> c.TrackCommand:
    assert isinstance(state, Live)
    job, latest = state.job, state.latest if isinstance(state, Ready) else 0
    own: dict[str, Any] = {"track_id": track, "job_id": job.job_id}
    commands = [
        t.start(attempt=job.attempt + 1).model_copy(update=own),
        t.complete(attempt=job.attempt, version=latest + 1).model_copy(update=own),
        t.fail(attempt=job.attempt).model_copy(update=own),
        c.CancelAnalysis(**own),
        c.RequeueAnalysis(**own),
        c.RequestAnalysis(track_id=track),
        c.DescribeTrack(track_id=track, title=f"Song {random.randrange(100)}", tags=("a", "b")),
        t.override(latest + 1, edit="offset", offset_ms=1.0).model_copy(update={"track_id": track}),
        c.RevertBeatOverride(track_id=track, made=t.made(latest + 1)),
        c.UploadReference(
            track_id=track, kind="beats", sha256="d" * 64, reference_ms=t.BEATS, made=t.made(latest + 1)
        ),
        c.ArchiveTrack(track_id=track),
    ]
    weights = [8, 8, 2, 1, 2, 3, 2, 3, 2, 1, 0.2]
    return random.choices(commands, weights)[0]


def recorded(events: Iterable[Event], track: UUID = t.TRACK) -> list[Recorded]:
    """Return the events as the log would give them, were they the only ones in it."""
    return [
        Recorded(
            position=number,
            stream=track,
            revision=number,
            category="track",
            partition_key=str(track),
            event_id=ids.job_id(track, number),
            type=new.type,
            schema_version=new.schema_version,
            data=msgspec.json.decode(new.data),
            recorded_at=NOON + timedelta(seconds=number),
            actor="user:ada",
            correlation_id=track,
            causation_id=None,
            command_id=ids.job_id(track, number),
            traceparent=None,
        )
        for number, event in enumerate(events, 1)
        for new in [REGISTRY.encode(event, ids.job_id(track, number))]
    ]


def folded(view: View, events: Iterable[Event], track: UUID = t.TRACK) -> Stored:
    """Return the document a view makes of one track's events."""
    (change,) = fold(view, REGISTRY, {}, recorded(events, track)).changes
    return change.after


def document(view: View, *events: Event) -> Document:
    """Return the body of that document."""
    body = folded(view, events).body
    assert body is not None
    return body
