"""The registry of every event of the product."""

from domain.registry import Registry
from domain.track.events import TRACK_EVENTS

REGISTRY = Registry(TRACK_EVENTS)
