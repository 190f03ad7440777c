"""An event as the log returns it: the one type that every reader works on, in either profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event with its position in the log and its origin.

    `position` counts the whole log from 1 without a hole, `revision` its stream from 1 without a gap.
    `type` and `schema_version` name the registered event whose JSON is `data`, as it was written; readers
    upcast it through `domain.registry`. `recorded_at` is the database's clock, never earlier than the event
    before, so the events up to a time are a prefix of the log.
    """

    position: int
    stream: UUID
    revision: int
    category: str
    partition_key: str
    event_id: UUID
    type: str
    schema_version: int
    data: Mapping[str, Any]
    recorded_at: datetime
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    traceparent: str | None
