"""The event schemas as published in docs/events.json, one per name and version, for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.registry import Registry

Published = Mapping[str, Mapping[str, Any]]
"""Event name to schema version (as a string) to JSON Schema."""


class ShapeChanged(Exception):
    """A registered schema differs from the one published under the same name and version."""


def publish(registry: Registry, before: Published) -> dict[str, dict[str, Any]]:
    """Return the schemas to publish: all earlier ones, and each current version.

    Raises ShapeChanged if a current version was published with another schema, or an event is missing: an
    event that may be in a log cannot change or go.
    """
    after = {name: dict(versions) for name, versions in before.items()}
    for name in before:
        if name not in registry.types:
            raise ShapeChanged(f"{name} was published and is no longer registered")
    for name, kind in registry.types.items():
        versions = after.setdefault(name, {})
        schema = msgspec.json.schema(kind.shape)
        if versions.setdefault(str(kind.version), schema) != schema:
            raise ShapeChanged(f"{name} v{kind.version} changed: raise its version and add an upcaster")
    return after
