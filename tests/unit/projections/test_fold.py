"""Exactly once in effect, as pure data: what a batch does to documents that stand somewhere already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.events import REGISTRY
from domain.recorded import Recorded
from projections.documents import Stored
from projections.fold import MAX_ERROR, Folded, fold
from projections.track_list import TRACK_LIST
from projections.view import Document, View
from tests.unit.domain import tracks as t
from tests.unit.projections.histories import recorded

OTHER = UUID("01900000-0000-7000-8000-000000000002")
EVENTS = recorded([t.uploaded(), t.queued(), t.started(), t.completed(), t.overridden(2, (1.0, 2.0))])
OTHERS = recorded([t.uploaded(track_id=OTHER, title="Other"), t.queued()], OTHER)


def after(folded: Folded) -> dict[str, Stored]:
    return {change.after.id: change.after for change in folded.changes}


def fold_list(before: dict[str, Stored], *events: Recorded) -> dict[str, Stored]:
    return {**before, **after(fold(TRACK_LIST, REGISTRY, before, events))}


def poisoned(event: Recorded, **change: Any) -> Recorded:
    return replace(event, **{"data": {"nonsense": 1}, **change})


def test_an_event_seen_before_changes_nothing() -> None:
    done = fold_list({}, *EVENTS)
    assert fold(TRACK_LIST, REGISTRY, done, EVENTS) == Folded((), ())


def test_overlapping_batches_end_as_one_batch_does() -> None:
    state = fold_list({}, *EVENTS[:3])
    assert fold_list(fold_list(state, *EVENTS[1:4]), *EVENTS) == fold_list({}, *EVENTS)


def test_compare_and_set_goes_from_what_was_read_to_the_last_event() -> None:
    (change,) = fold(TRACK_LIST, REGISTRY, fold_list({}, *EVENTS[:2]), EVENTS[2:]).changes
    assert (change.before.seen, change.after.seen) == (2, 5)


def test_a_gap_parks_the_stream_where_it_opened() -> None:
    state = fold_list({}, EVENTS[0], EVENTS[2], EVENTS[3])
    stored = state[str(t.TRACK)]
    assert stored.parked is not None
    assert (stored.seen, stored.parked.revision, stored.parked.up_to) == (1, 2, 4)
    assert stored.parked.error == "revision 3 came after 1"
    assert stored.body == fold_list({}, EVENTS[0])[str(t.TRACK)].body


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, "nonsense"),
        ({"type": "track.sung"}, "is unknown"),
        ({"schema_version": 9}, "schema version 9"),
    ],
)
def test_an_event_that_cannot_be_read_parks_its_stream_alone(change: dict[str, Any], error: str) -> None:
    poison = poisoned(EVENTS[2], position=77, **change)
    state = fold_list({}, *EVENTS[:2], poison, *OTHERS, *EVENTS[3:])
    stored, other = state[str(t.TRACK)], state[str(OTHER)]
    assert stored.parked is not None
    assert (stored.seen, stored.handled, stored.parked.revision, stored.parked.position) == (2, 5, 3, 77)
    assert error in stored.parked.error
    assert (other.seen, other.parked) == (2, None)


def test_what_follows_a_parked_event_waits_with_it_in_later_batches_too() -> None:
    state = fold_list({}, EVENTS[0], poisoned(EVENTS[1]))
    later = fold_list(state, *EVENTS[2:])[str(t.TRACK)]
    assert later.parked is not None
    assert (later.seen, later.parked.revision, later.parked.up_to) == (1, 2, 5)
    assert fold_list({str(t.TRACK): later}, *EVENTS[:3]) == {str(t.TRACK): later}, "redelivered in part"


def test_an_error_that_quotes_what_no_store_can_hold_is_made_harmless() -> None:
    def apply(document: Document | None, recorded: Recorded) -> Document | None:
        raise ValueError("a NUL \0, half a pair \ud800, and more " + "x" * 5000)

    view = View("bad", 1, frozenset({"track"}), apply)
    (change,) = fold(view, REGISTRY, {}, EVENTS[:1]).changes
    assert change.after.parked is not None
    error = change.after.parked.error
    assert "\0" not in error
    assert error.encode()
    assert len(error) == MAX_ERROR


def test_an_older_schema_version_is_folded_in_its_current_shape() -> None:
    old = replace(
        EVENTS[1],
        schema_version=1,
        data={key: value for key, value in EVENTS[1].data.items() if key != "reason"},
    )
    seen: list[Recorded] = []

    def apply(document: Document | None, recorded: Recorded) -> Document | None:
        seen.append(recorded)
        return {}

    fold(View("all", 1, frozenset({"track"}), apply), REGISTRY, {}, [EVENTS[0], old])
    assert (seen[1].schema_version, seen[1].data["reason"]) == (2, "upload")


def test_a_document_that_ends_leaves_a_tombstone_that_goes_on_counting() -> None:
    def apply(document: Document | None, recorded: Recorded) -> Document | None:
        return {} if recorded.revision == 1 else None

    view = View("brief", 1, frozenset({"track"}), apply)
    stored = after(fold(view, REGISTRY, {}, EVENTS[:3]))[str(t.TRACK)]
    assert (stored.seen, stored.body, stored.listed) == (3, None, False)


def test_a_view_with_entries_does_not_list_its_documents() -> None:
    view = replace(TRACK_LIST, entries=lambda document, recorded: [(f"{recorded.revision}", {"n": 1})])
    result = fold(view, REGISTRY, {}, EVENTS[:2])
    assert [id for id, _ in result.entries] == ["1", "2"]
    assert [change.after.listed for change in result.changes] == [False]
