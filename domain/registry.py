"""The names and schema versions of stored events, and the upcasters of older versions.

A name and a version are fixed for ever: recorded events are never rewritten. A changed field needs a new
version with an upcaster from the version before. docs/events.json and the golden files in tests/golden have
every version, and the checks fail if a registered schema changes without a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from domain.errors import EventTooLarge, UnknownEvent
from domain.known_types import known
from domain.log import MAX_EVENT_BYTES, NewEvent
from domain.recorded import Recorded


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all events: frozen data, named in the past tense, stored as JSON under a registered name."""


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the data of one schema version into the data of the next; pure."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One registered event: its name, its current schema version, and an upcaster per older version."""

    name: str
    shape: type[Event]
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict[int, Upcaster])

    @property
    def category(self) -> str:
        """The category of the streams that hold it: the name's first word."""
        return self.name.partition(".")[0]


class Registry:
    """Every event this code can write or read.

    Raises ValueError for two events of one name or shape, and for a missing upcaster.
    """

    def __init__(self, types: Iterable[EventType]) -> None:
        self.types: dict[str, EventType] = {}
        self._by_shape: dict[type[Event], EventType] = {}
        for kind in types:
            self._add(kind)
        known(*self._by_shape)
        self._encoder = msgspec.json.Encoder()

    def _add(self, kind: EventType) -> None:
        if kind.name in self.types or kind.shape in self._by_shape:
            raise ValueError(f"the event {kind.name} ({kind.shape.__name__}) is registered twice")
        if missing := [n for n in range(1, kind.version) if n not in kind.upcasters]:
            raise ValueError(f"the event {kind.name} lacks upcasters from schema versions {missing}")
        self.types[kind.name] = kind
        self._by_shape[kind.shape] = kind

    def encode(self, event: Event, event_id: UUID) -> NewEvent:
        """Return the event in its stored form. Raises EventTooLarge."""
        kind = self._by_shape[type(event)]
        data = self._encoder.encode(event)
        if len(data) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"{kind.name} takes {len(data)} bytes, the limit is {MAX_EVENT_BYTES}")
        return NewEvent(event_id, kind.name, kind.version, data)

    def upcast(self, recorded: Recorded) -> dict[str, Any]:
        """Return the event's data in its current schema version.

        Raises UnknownEvent for a name or a version of a newer writer.
        """
        kind = self.types.get(recorded.type)
        if kind is None:
            raise UnknownEvent(f"event type {recorded.type} at position {recorded.position} is unknown")
        if recorded.schema_version > kind.version:
            raise UnknownEvent(
                f"{recorded.type} at position {recorded.position} has schema version "
                f"{recorded.schema_version}; this code reads up to {kind.version}"
            )
        data = dict(recorded.data)
        for version in range(recorded.schema_version, kind.version):
            data = kind.upcasters[version](data)
        return data

    def decode(self, recorded: Recorded) -> Event:
        """Return the event in its typed form. Raises UnknownEvent, also for data that does not match it."""
        data = self.upcast(recorded)
        try:
            return msgspec.convert(data, self.types[recorded.type].shape)
        except msgspec.ValidationError as error:
            raise UnknownEvent(f"{recorded.type} at position {recorded.position}: {error}") from error
