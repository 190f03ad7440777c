"""Applies a batch of events to a view's documents, as pure data; makes every event count exactly once.

A handled revision is skipped, so redelivery changes nothing. A gap, or an event that can't be folded, parks
its stream: the document stays as it was, and the following events wait too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from domain.errors import UnknownEvent
from domain.recorded import Recorded
from domain.registry import Registry
from projections.documents import Change, Parked, Stored
from projections.view import Document, View

MAX_ERROR = 2_000
"""Characters kept of the error of a failed event."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The result to write: documents by compare-and-set, and the entries that their events make."""

    changes: tuple[Change, ...]
    entries: tuple[tuple[str, Document], ...]


def fold(view: View, registry: Registry, before: Mapping[str, Stored], events: Iterable[Recorded]) -> Folded:
    """Return the changes by these events; `before` has the existing document of each stream."""
    now: dict[str, Stored] = {}
    entries: list[tuple[str, Document]] = []
    for recorded in events:
        id = str(recorded.stream)
        stored = now.get(id) or before.get(id) or Stored(id)
        if recorded.revision > stored.handled:
            now[id] = _next(view, registry, stored, recorded, entries)
    changes = tuple(Change(before.get(id) or Stored(id), after) for id, after in now.items())
    return Folded(changes, tuple(entries))


def park(stored: Stored, recorded: Recorded, up_to: int, error: str) -> Stored:
    """Return the document with its stream parked from this event on."""
    # The text may quote characters that no store can hold.
    text = error.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()[:MAX_ERROR]
    return replace(stored, parked=Parked(stored.seen + 1, up_to, recorded.position, text))


def _next(
    view: View,
    registry: Registry,
    stored: Stored,
    recorded: Recorded,
    entries: list[tuple[str, Document]],
) -> Stored:
    if stored.parked:
        return replace(stored, parked=replace(stored.parked, up_to=recorded.revision))
    if recorded.revision > stored.seen + 1:
        error = f"revision {recorded.revision} came after {stored.seen}"
        return park(stored, recorded, recorded.revision, error)
    try:
        current = _current(registry, recorded)
        body = view.apply(stored.body, current)
        brought = tuple(view.entries(body, current)) if view.entries else ()
    except Exception as error:  # noqa: BLE001 - every error of a fold concerns only its stream
        return park(stored, recorded, recorded.revision, f"{recorded.type}: {type(error).__name__}: {error}")
    entries.extend(brought)
    # Readers of a view with entries see only the entries; its documents are not listed.
    return Stored(stored.id, recorded.revision, body, listed=body is not None and view.entries is None)


def _current(registry: Registry, recorded: Recorded) -> Recorded:
    """Return the event with its data in the current schema version, validated against it."""
    kind = registry.types.get(recorded.type)
    if kind is None or recorded.schema_version != kind.version:
        data = registry.upcast(recorded)
        kind = registry.types[recorded.type]
        recorded = replace(recorded, data=data, schema_version=kind.version)
    try:
        msgspec.convert(recorded.data, kind.shape)
    except msgspec.ValidationError as error:
        raise UnknownEvent(f"{recorded.type} at position {recorded.position}: {error}") from error
    return recorded
