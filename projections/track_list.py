"""The view track_list: a row per track, for lists that filter and sort.

Archived tracks keep their row; lists leave them out with `Differs("status", "archived")`. Free-text search
uses `Contains("_search", folded_text(text))`, and `_title` sorts titles.
"""

from __future__ import annotations

from domain.recorded import Recorded
from projections.track_fold import moved, uploaded
from projections.view import Document, View, folded_text


def apply(document: Document | None, recorded: Recorded) -> Document | None:
    """Fold a track's event into its row."""
    if document is None:
        return _findable(uploaded(recorded)) if recorded.type == "track.uploaded" else None
    row = moved(document, recorded)
    return _findable(row) if recorded.type == "track.described" else row


def _findable(row: Document) -> Document:
    return {**row, "_search": folded_text(row["title"], row["artist"]), "_title": folded_text(row["title"])}


TRACK_LIST = View(
    name="track_list",
    version=1,
    categories=frozenset({"track"}),
    apply=apply,
    fields={
        "status": "text",
        "preset": "text",
        "tags": "array",
        "bpm": "number",
        "f_measure": "number",
        "created_at": "text",
        "_title": "text",
        "_search": "text",
    },
    indexes=(
        ("created_at",),
        ("_title",),
        ("bpm",),
        ("f_measure",),
        ("status", "created_at"),
        ("preset", "created_at"),
        ("tags",),
    ),
)
