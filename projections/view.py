"""The definition of a view: a fold of one stream into one document, and the fields that queries can use.

To add one: write a file with an `apply`, a `View` around it, and name it in `projections/views.py`. The
projector calls `apply` with every event of the view's categories, each exactly once in effect and in the
order of its stream, with `data` in its current schema version and validated. Raise VERSION with every
change of the results of `apply` or `entries`: the new documents are then built while the old ones serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from domain.recorded import Recorded

Document = dict[str, Any]
"""JSON data, snake_case. Keys that begin with an underscore serve queries; readers do not see them."""

Kind = Literal["text", "number", "array"]
"""The comparison of a field: by code point, by value, or by element."""

Apply = Callable[[Document | None, Recorded], Document | None]
"""Returns the document after the event, without changing its arguments; None = no document."""

Entries = Callable[[Document | None, Recorded], Iterable[tuple[str, Document]]]
"""Returns the entries that an event makes, as (id, body), given the document after it."""


@dataclass(frozen=True, slots=True)
class View:
    """One view. Its documents' ids are their streams' ids.

    Readers of a view with `entries` see these: immutable documents whose ids name their event, so that a
    redelivery writes the same again. Its own documents then only carry data for later entries. Queries can
    filter and sort by `fields`; each of `indexes` lists fields, the first ones for equality, the last one
    also for range and order (an array alone).
    """

    name: str
    version: int
    categories: frozenset[str]
    apply: Apply
    entries: Entries | None = None
    fields: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    indexes: tuple[tuple[str, ...], ...] = ()


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC, always with microseconds: texts then sort as the times do."""
    if at.utcoffset():
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def folded_text(*texts: str | None) -> str:
    """Return the text for search and sorting without regard to case, one line for each text."""
    return "\n".join(text.casefold() for text in texts if text)
