"""The one registry of every event the product knows."""

from domain.registry import Registry
from domain.track.events import TRACK_EVENTS

REGISTRY = Registry(TRACK_EVENTS)
