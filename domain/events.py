"""The one registry of every event the product knows: those of all deciders."""

from domain.deciders import DECIDERS
from domain.registry import Registry

REGISTRY = Registry(kind for decider in DECIDERS.values() for kind in decider.events)
