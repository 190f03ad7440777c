"""What a view is: a fold of one stream into one document, and what can be asked of those documents.

To add one: write a file with an `apply`, a `View` around it, and name it in `projections/views.py`. The
projector gives `apply` every event of the view's categories, each exactly once in effect and in the order of
its stream, with `data` in its current schema version and proven to fit it. Raise VERSION with every change of
what `apply` or `entries` yield: the new documents are then built while the old ones serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from domain.recorded import Recorded

Document = dict[str, Any]
"""JSON data, snake_case. Keys that begin with an underscore serve finding and are not shown to readers."""

Kind = Literal["text", "number", "array"]
"""How a field is compared: by code point, by value, or by what it contains."""

Apply = Callable[[Document | None, Recorded], Document | None]
"""Returns the document after the event, without changing its arguments; None leaves nothing to be found."""

Entries = Callable[[Document | None, Recorded], Iterable[tuple[str, Document]]]
"""Returns the entries an event brings, as (id, body), given the document after it."""


@dataclass(frozen=True, slots=True)
class View:
    """One view. Its documents' ids are their streams' ids.

    A view with `entries` is read by these: immutable documents whose ids name the event they come from, so
    that a redelivery writes the same again. Its own documents then only carry what later entries need.
    `fields` can be asked for and sorted by; each of `indexes` lists fields, the first ones asked by equality,
    the last one also by range and order (an array alone).
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
    """Return what is searched and sorted without regard to case, the texts a line each."""
    return "\n".join(text.casefold() for text in texts if text)
