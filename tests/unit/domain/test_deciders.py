"""Events, folds, topics and names fit together, or nothing starts."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from domain.deciders import DECIDERS, deciders
from domain.events import REGISTRY
from domain.registry import Event, EventType, Registry
from domain.topics import TOPICS
from domain.track import events as e
from domain.track.decider import TRACK


class TrackRemixed(Event, frozen=True):
    """An event that nobody folds."""


REMIXED = EventType("track.remixed", TrackRemixed)


def test_every_category_of_the_product_has_a_decider():
    assert set(DECIDERS) == {kind.category for kind in REGISTRY.types.values()}
    assert set(DECIDERS) <= set(TOPICS)


def test_an_event_without_a_fold_is_refused():
    with pytest.raises(ValueError, match=r"track\.remixed has no fold"):
        deciders(Registry([*REGISTRY.types.values(), REMIXED]), [TRACK])


def test_an_event_that_is_folded_under_no_name_is_refused():
    with pytest.raises(ValueError, match="without a registered name: TrackRemixed"):
        deciders(REGISTRY, [replace(TRACK, events=(*TRACK.events, TrackRemixed))])


def test_two_deciders_of_one_category_are_refused():
    with pytest.raises(ValueError, match="two deciders"):
        deciders(REGISTRY, [TRACK, TRACK])


def test_a_category_without_a_topic_is_refused():
    """It was a KeyError in the relay, after the append."""
    with pytest.raises(ValueError, match="without a topic"):
        Registry([EventType("orchestra.founded", TrackRemixed)])


@pytest.mark.parametrize(
    "second", [EventType("track.remixed", e.TrackArchived), EventType("track.mixed", TrackRemixed)]
)
def test_two_events_of_one_name_or_one_shape_are_refused(second: EventType):
    with pytest.raises(ValueError, match="registered twice"):
        Registry([REMIXED, second])


def test_a_version_without_an_upcaster_from_the_one_before_is_refused():
    with pytest.raises(ValueError, match=r"lacks upcasters from schema versions \[2\]"):
        Registry([EventType("track.remixed", TrackRemixed, 3, {1: dict})])


def test_the_union_of_track_events_is_what_the_fold_is_checked_against():
    assert set(get_args(e.TrackEvent)) == set(TRACK.events)
