"""The shape of health probes' answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.rest.models.shape import Shape


class Health(Shape):
    """The process answers."""

    status: Literal["ok"] = "ok"
    """`ok`; a process that is not ready is refused with 503."""
    checks: dict[str, str] = Field(default_factory=dict)
    """State of each part that the process needs, by name."""
