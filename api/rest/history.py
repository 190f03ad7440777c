"""What happened: a track's events, its state at any time, what changed, and the whole log for auditors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Query, Request
from pydantic import AwareDatetime, BeforeValidator
from starlette.responses import Response, StreamingResponse

from api.conditional import representation
from api.names import names_of
from api.negotiation import preferred
from api.rest.models import DiffShape, EventPage, StateShape
from api.rest.operations import query
from api.rest.routing import TRACK_PATH, TrackId, guarded
from api.security.guard import auditor, reader
from api.services import services_of
from domain.command import Line
from domain.decider import Decider
from domain.errors import Invalid, NotFound
from domain.log import PAGE_EVENTS, EventStore, Page
from domain.log_clock import LogClock
from domain.recorded import Recorded
from domain.track.decider import TRACK
from projections.history import state_at, state_diff, state_json, stream_events

router = guarded("history")

NDJSON = "application/x-ndjson"
MAX_LIMIT = 1000

CLOCKS_APART = timedelta(minutes=1)
"""How far a client's or the store's clock may be ahead of ours before its now is our future."""

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?)([Zz]|[ +-]\d\d:\d\d)")

MAX_NUMBER = 2**53
"""What every client's numbers can hold."""

_LIMIT = Query(ge=1, le=MAX_LIMIT, description="How many events to return at most.")


def _number(least: int, description: str, **more: Any) -> Any:
    return Query(ge=least, le=MAX_NUMBER, description=description, **more)


AfterRevision = Annotated[int, _number(0, "Revision behind which to begin: `next_after` of the page before.")]
AfterPosition = Annotated[int, _number(0, "Position behind which to begin: `next_after` of the page before.")]
Revision = Annotated[int | None, _number(1, "Number of the last event to include.")]


def _rfc_3339(text: object) -> str:
    match = _RFC_3339.fullmatch(str(text))
    if match is None:
        raise ValueError("give a time as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00")
    # A plus of a query string is a blank once it is decoded.
    return match[1] + match[2].replace(" ", "+")


Time = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_rfc_3339)] | None,
    Query(description="Time up to which events are included (RFC 3339, with an offset from UTC)."),
]


@router.get(TRACK_PATH + "/history", response_model=EventPage, **query(reader))
async def track_history(
    request: Request, track_id: TrackId, after: AfterRevision = 0, limit: Annotated[int, _LIMIT] = 100
) -> Response:
    """List the events of a track in order: what changed, who changed it, when, and by which command.

    A page has fewer events than `limit` where these are large; read on until `next_after` is null.
    """
    return await _history(request, TRACK, track_id, after, limit)


@router.get(
    TRACK_PATH + "/state", response_model=StateShape, **query(reader, refuses={422: ["one_of", "time_ahead"]})
)
async def track_state(
    request: Request, track_id: TrackId, revision: Revision = None, at: Time = None
) -> Response:
    """Return a track as it was at a revision or at a time, or as it is now.

    `at` is compared with the times of the log (`recorded_at`). A time ahead of the database's clock is
    refused, because the state at that time is not known; but while that clock is behind the log, times up
    to the log's last event are answered.
    """
    return await _state(request, TRACK, track_id, {"track_id": track_id}, revision, at)


async def _clock_of(store: EventStore, at: datetime) -> LogClock:
    """Return the clock that a time is asked by. Raises Invalid for a time that is ahead of it and the log."""
    clock = await store.clock()
    if at > max(clock.now, clock.last or clock.now) + CLOCKS_APART:
        raise Invalid(
            "time_ahead", "this time is in the future: leave `at` out for the present state", "query.at"
        )
    return clock


@router.get(TRACK_PATH + "/diff", response_model=DiffShape, **query(reader))
async def diff_track(
    request: Request,
    track_id: TrackId,
    from_: Annotated[
        int, _number(0, "Earlier revision; 0 is before the upload.", alias="from", examples=[1])
    ],
    to: Annotated[int, _number(1, "Later revision.", examples=[2])],
) -> Response:
    """Compare a track at two revisions."""
    return await _diff(request, TRACK, track_id, {"track_id": track_id}, from_, to)


async def _history(request: Request, decider: Decider[Any], stream: UUID, after: int, limit: int) -> Response:
    page = await stream_events(services_of(request).events, decider, stream, after, limit)
    body = await _page(request, page, page[-1].revision if page.more else None)
    # By its hash alone: a page is no state of the stream that a change could be based on.
    return representation(request, body)


async def _state(
    request: Request,
    decider: Decider[Any],
    stream: UUID,
    named: dict[str, Any],
    revision: int | None,
    at: datetime | None,
) -> Response:
    if revision is not None and at is not None:
        raise Invalid("one_of", "send revision or at, not both", "query.at")
    store = services_of(request).events
    clock = None if at is None else await _clock_of(store, at)
    behind_s = clock.behind_s if clock else 0.0
    try:
        then = await state_at(store, decider, stream, revision, at)
    except NotFound as error:
        if behind_s:
            raise NotFound(f"{error.detail}; {clock}") from error
        raise
    state = state_json(then.state)
    body: dict[str, Any] = {
        **named,
        "revision": then.revision,
        "position": then.last.position,
        "recorded_at": then.last.recorded_at,
        "status": state["type"],
        "state": state,
        "as_of": at,
        "clock_behind_log_s": behind_s or None,
    }
    return representation(request, msgspec.json.encode(body), then.revision)


async def _diff(
    request: Request, decider: Decider[Any], stream: UUID, named: dict[str, Any], old: int, new: int
) -> Response:
    changes = await state_diff(services_of(request).events, decider, stream, old, new)
    body = {**named, "from_revision": old, "to_revision": new, "changes": changes}
    return representation(request, msgspec.json.encode(body), new)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of the log to read; None = any."""

    type: str | None
    category: str | None
    actor: str | None
    stream: UUID | None
    correlation_id: UUID | None

    async def read(self, events: EventStore, after: int, limit: int, up_to: int | None = None) -> Page:
        """Return a page of the log. Raises Unavailable."""
        return await events.read_log(
            after,
            limit,
            up_to=up_to,
            categories=None if self.category is None else (self.category,),
            type=self.type,
            actor=self.actor,
            stream=self.stream,
            correlation_id=self.correlation_id,
        )


@router.get(
    "/v1/events",
    response_model=EventPage,
    **query(auditor, answers={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}}),
)
async def list_events(
    request: Request,
    after: AfterPosition = 0,
    type: Annotated[Line | None, Query(description="Only events of this type.")] = None,
    category: Annotated[Line | None, Query(description="Only streams of this category.")] = None,
    actor: Annotated[Line | None, Query(description="Only events that this actor caused.")] = None,
    stream: Annotated[UUID | None, Query(description="Only events of this stream.")] = None,
    correlation_id: Annotated[UUID | None, Query(description="Only events of this correlation.")] = None,
    limit: Annotated[int | None, _LIMIT] = None,
) -> Response:
    """List the events of the whole log in order, 100 at a time unless `limit` is given.

    A page has fewer events than `limit` where these are large; read on until `next_after` is null. With
    `Accept: application/x-ndjson` the answer has an event on each line, without names: all events up to now,
    or the first `limit`.
    """
    wanted = EventFilter(type, category, actor, stream, correlation_id)
    store = services_of(request).events
    if preferred(request, "application/json", NDJSON) == NDJSON:
        lines = _lines(store, wanted, after, limit, await store.head())
        headers = {"Cache-Control": "no-store", "Vary": "Authorization, Accept"}
        return StreamingResponse(lines, media_type=NDJSON, headers=headers)
    page = await wanted.read(store, after, limit or 100)
    body = await _page(request, page, page[-1].position if page.more else None)
    return representation(request, body, vary="Authorization, Accept")


async def _page(request: Request, events: Sequence[Recorded], next_after: int | None) -> bytes:
    names = await names_of(services_of(request).accounts, (event.actor for event in events))
    items = [{**shown(event), "actor_name": names.get(event.actor)} for event in events]
    return msgspec.json.encode({"items": items, "next_after": next_after})


async def _lines(
    store: EventStore, wanted: EventFilter, after: int, limit: int | None, up_to: int
) -> AsyncIterator[bytes]:
    left, more = limit, True
    while more and (left is None or left > 0):
        page = await wanted.read(store, after, min(left or PAGE_EVENTS, PAGE_EVENTS), up_to)
        if not page:
            return
        after, more = page[-1].position, page.more
        left = None if left is None else left - len(page)
        lines = b"".join(msgspec.json.encode(shown(event)) + b"\n" for event in page)
        # The events take four times as much: a slow reader must not hold them.
        del page
        yield lines


def shown(event: Recorded) -> dict[str, Any]:
    """Return an event as it was recorded; its key in the log's distribution is nobody's business."""
    fields = asdict(event)
    del fields["partition_key"]
    return fields
