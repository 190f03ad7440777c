"""Every kind of stream the product knows, by its category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.decider import Decider
from domain.events import REGISTRY
from domain.registry import Registry
from domain.track.decider import TRACK


def deciders(registry: Registry, kinds: Iterable[Decider[Any]]) -> Mapping[str, Decider[Any]]:
    """Return the deciders by category. Raises ValueError unless each registered event is folded by one.

    Also for two deciders of one category, and for an event that a decider folds and nobody registered.
    """
    by_category: dict[str, Decider[Any]] = {}
    for decider in kinds:
        if decider.category in by_category:
            raise ValueError(f"two deciders have the category {decider.category}")
        by_category[decider.category] = decider
    for kind in registry.types.values():
        decider = by_category.get(kind.category)
        if decider is None or kind.shape not in decider.events:
            raise ValueError(f"the event {kind.name} has no fold: add it to the decider of its category")
    registered = {kind.shape for kind in registry.types.values()}
    for decider in by_category.values():
        if missing := [event.__name__ for event in decider.events if event not in registered]:
            raise ValueError(f"events of {decider.category} without a registered name: {', '.join(missing)}")
    return by_category


DECIDERS = deciders(REGISTRY, [TRACK])
