"""Which topic carries which category: events that must be read in one order share a topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TOPICS: Final[Mapping[str, str]] = {
    "track": "track",
    "device": "device",
    "lease": "device",
    "deployment": "deployment",
    "member": "deployment",
}
"""Category to topic. A category that is not here cannot be registered."""
