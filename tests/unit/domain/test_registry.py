"""What is in the log stays readable: golden files, upcasters, and a guard against silent changes."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.errors import EventTooLarge, UnknownEvent
from domain.events import REGISTRY
from domain.published import ShapeChanged, publish
from domain.recorded import Recorded
from domain.registry import Event, EventType, Registry
from domain.track import events as e
from tests.unit.domain import tracks as t

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
PUBLISHED = ROOT / "docs" / "events.json"
VERSIONS = [(name, v) for name, kind in REGISTRY.types.items() for v in range(1, kind.version + 1)]


def recorded(type: str, version: int, data: dict[str, Any]) -> Recorded:
    return Recorded(
        1, t.TRACK, 1, "track", str(t.TRACK), UUID(int=1), type, version, data, t.NOON, "user:x",
        UUID(int=2), None, UUID(int=2), None,
    )  # fmt: skip


def golden(name: str, version: int) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.v{version}.json").read_text())


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_every_version_ever_written_can_be_read(name: str, version: int):
    event = REGISTRY.decode(recorded(name, version, golden(name, version)))
    assert type(event) is REGISTRY.types[name].shape


@pytest.mark.parametrize("name", REGISTRY.types)
def test_the_current_version_is_written_exactly_as_its_golden_file(name: str):
    sample = golden(name, REGISTRY.types[name].version)
    event = msgspec.convert(sample, REGISTRY.types[name].shape)
    assert json.loads(REGISTRY.encode(event, UUID(int=3)).data) == sample


def test_no_golden_file_is_left_without_its_event():
    assert {f"{name}.v{v}.json" for name, v in VERSIONS} == {p.name for p in GOLDEN.iterdir()}


def test_the_published_schemas_are_those_of_the_code():
    """`make contracts` writes them; it refuses to change one that was published."""
    before = json.loads(PUBLISHED.read_text())
    assert publish(REGISTRY, before) == before


class _Changed(e.TrackArchived, frozen=True):
    note: str = ""


def test_a_changed_shape_under_the_same_version_is_refused():
    changed = Registry([EventType("track.archived", _Changed)])
    with pytest.raises(ShapeChanged, match="raise its version"):
        publish(changed, {"track.archived": json.loads(PUBLISHED.read_text())["track.archived"]})


def test_an_event_that_was_published_cannot_be_dropped():
    with pytest.raises(ShapeChanged, match="no longer registered"):
        publish(Registry([]), json.loads(PUBLISHED.read_text()))


@pytest.mark.parametrize(("number", "reason"), [(1, "upload"), (2, "request")])
def test_a_queued_analysis_of_version_one_is_told_its_reason(number: int, reason: str):
    """Version 1 of track.analysis_queued had no `reason`; only a first analysis came from its upload."""
    old = {**golden("track.analysis_queued", 1), "number": number}
    assert "reason" not in old
    event = REGISTRY.decode(recorded("track.analysis_queued", 1, old))
    assert isinstance(event, e.AnalysisQueued)
    assert event.reason == reason


def test_a_newer_schema_version_is_not_guessed_at():
    with pytest.raises(UnknownEvent, match="schema version 99"):
        REGISTRY.upcast(recorded("track.archived", 99, {}))


def test_an_unknown_name_is_not_guessed_at():
    with pytest.raises(UnknownEvent, match=r"track\.sang"):
        REGISTRY.upcast(recorded("track.sang", 1, {}))


def test_data_that_does_not_fit_its_shape_is_said_so():
    with pytest.raises(UnknownEvent, match="unknown field"):
        REGISTRY.decode(recorded("track.archived", 1, {"reason": None, "x": 1}))


def test_an_event_over_the_limit_is_refused():
    with pytest.raises(EventTooLarge):
        REGISTRY.encode(e.TrackArchived("x" * 600_000), UUID(int=3))


def test_twenty_thousand_beats_fit_into_an_event():
    """The largest grid anyone may record, at microsecond resolution, with a reference as long."""
    beats = tuple(900_000 + n * 60.123 for n in range(20_000))
    event: Event = e.ReferenceGiven(
        **t.version_fields(2, tuple(round(b, 3) for b in beats), ()),
        kind="text",
        sha256="d" * 64,
        reference_ms=tuple(round(b, 3) for b in beats),
    )
    assert len(REGISTRY.encode(event, UUID(int=3)).data) < 512_000
