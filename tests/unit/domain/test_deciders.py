"""Events, folds, topics and names fit together, or nothing starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.deciders import DECIDERS, TOPICS, by_category
from domain.events import REGISTRY
from domain.registry import Event, EventType, Registry
from domain.track import events as e
from domain.track.decider import TRACK


class TrackRemixed(Event, frozen=True):
    """An event that nobody folds."""


REMIXED = EventType("track.remixed", TrackRemixed)


def test_every_event_of_every_decider_is_registered_and_has_a_topic():
    assert set(REGISTRY.types) == {kind.name for decider in DECIDERS.values() for kind in decider.events}
    assert {kind.category for kind in REGISTRY.types.values()} <= set(TOPICS)


def test_an_event_without_a_fold_is_refused():
    with pytest.raises(ValueError, match=r"without a fold or without a name: .'TrackRemixed'"):
        replace(TRACK, events=(*TRACK.events, REMIXED))


def test_an_event_that_is_folded_and_has_no_name_is_refused():
    with pytest.raises(ValueError, match=r"without a fold or without a name: .'TrackRemixed'"):
        replace(TRACK, folds=e.TrackEvent | TrackRemixed)


def test_an_event_named_after_another_category_is_refused():
    """Its topic would be another category's: it was a KeyError in the relay, after the append."""
    with pytest.raises(ValueError, match=r"another category: .*orchestra\.remixed"):
        replace(
            TRACK,
            folds=e.TrackEvent | TrackRemixed,
            events=(*TRACK.events, EventType("orchestra.remixed", TrackRemixed)),
        )


def test_a_decider_without_a_topic_does_not_exist():
    fields = {name: getattr(TRACK, name) for name in TRACK.__slots__ if name != "topic"}
    with pytest.raises(TypeError, match="topic"):
        type(TRACK)(**fields)


def test_two_deciders_of_one_category_are_refused():
    with pytest.raises(ValueError, match="two deciders"):
        by_category([TRACK, TRACK])


@pytest.mark.parametrize(
    "second", [EventType("track.remixed", e.TrackArchived), EventType("track.mixed", TrackRemixed)]
)
def test_two_events_of_one_name_or_one_shape_are_refused(second: EventType):
    with pytest.raises(ValueError, match="registered twice"):
        Registry([REMIXED, second])


def test_a_version_without_an_upcaster_from_the_one_before_is_refused():
    with pytest.raises(ValueError, match=r"lacks upcasters from schema versions \[2\]"):
        Registry([EventType("track.remixed", TrackRemixed, 3, {1: dict})])
