"""The shapes of what happened: events, past states, differences."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from api.rest.models.shape import Shape
from api.rest.models.tracks import TrackStatus


class EventShape(Shape):
    """An event as it was recorded."""

    position: int
    """Number of the event in the whole log, from 1."""
    stream: UUID
    """Id of the stream, such as a track's."""
    revision: int
    """Number of the event in its stream, from 1."""
    category: str
    """Kind of the stream, such as `track`."""
    event_id: UUID
    """Id of the event."""
    type: str
    """Name of the event; docs/events.json has the shape of its data."""
    schema_version: int
    """Version of that shape."""
    recorded_at: AwareDatetime
    """When the event was recorded; never earlier than the event before it."""
    actor: str
    """Who caused it: `user:ACCOUNT-ID`, `service:NAME` or `device:ID`."""
    actor_name: str | None
    """Name of that person; null for services and erased accounts."""
    correlation_id: UUID
    """Id of the command that began the chain of commands and events to which this event belongs."""
    causation_id: UUID | None
    """Id of the event that caused the command; null if a person issued it."""
    command_id: UUID
    """Id of the command that recorded the event."""
    traceparent: str | None
    """W3C trace of the request."""
    data: dict[str, Any]
    """Data of the event."""


class EventPage(Shape):
    """A page of events in the order they were recorded."""

    items: list[EventShape]
    """The events."""
    next_after: int | None
    """`after` of the next page; null on the last one."""


class StateShape(Shape):
    """A track as it was at a revision or time."""

    track_id: UUID
    """Id of the track."""
    revision: int
    """Number of the last event that the state includes."""
    position: int
    """Position of that event in the log."""
    recorded_at: AwareDatetime
    """When that event was recorded."""
    status: TrackStatus
    """Status of the track."""
    state: dict[str, Any]
    """State that the rules of a track work on."""
    as_of: AwareDatetime | None = None
    """Time that was asked for, by the times of the log, which never go back; null without `at`."""
    clock_behind_log_s: float | None = None
    """Seconds by which the database's clock is behind the log's last event; null unless it is, and without
    `at`. Events recorded meanwhile have the time of that event."""


class ChangeShape(Shape):
    """A changed part of the state; a beat grid is shown by its count, its ends and its hash."""

    path: str
    """Path of the part, such as `profile.title`."""
    old: Any
    """Value before; null if the part was not there."""
    new: Any
    """Value after; null if the part is no longer there."""


class DiffShape(Shape):
    """The differences between two revisions of a track."""

    track_id: UUID
    """Id of the track."""
    from_revision: int
    """Earlier revision; 0 is before the upload."""
    to_revision: int
    """Later revision."""
    changes: list[ChangeShape]
    """Changed parts."""
