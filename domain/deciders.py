"""Every kind of stream the product knows: to add one, add its decider to the list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from domain.decider import Decider
from domain.device.decider import DEVICE
from domain.lease.decider import LEASE
from domain.track.decider import TRACK


def by_category(kinds: Iterable[Decider[Any]]) -> Mapping[str, Decider[Any]]:
    """Return deciders by category. Raises ValueError for two of one category."""
    found: dict[str, Decider[Any]] = {}
    for decider in kinds:
        if decider.category in found:
            raise ValueError(f"two deciders have the category {decider.category}")
        found[decider.category] = decider
    return found


DECIDERS: Final = by_category([TRACK, DEVICE, LEASE])

TOPICS: Final[Mapping[str, str]] = {
    # Installations already have the topics of these categories, whose deciders are still to come.
    "deployment": "deployment",
    "member": "deployment",
    **{category: decider.topic for category, decider in DECIDERS.items()},
}
"""Category to topic."""
