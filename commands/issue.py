"""How a command is handed in and answered, apart from what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.command import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who issues a command: `user:ACCOUNT-ID`, `service:NAME` or `device:SLUG`, and what they may do."""

    actor: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Issue:
    """The circumstances of one command.

    `command_id` makes a repetition recognisable: derived from an Idempotency-Key or by a process manager,
    None when nothing may be deduplicated. `if_match` holds revisions, one of which must be the current one.
    A correlation id of None starts a new correlation with this command's id.
    """

    caller: Caller
    command_id: UUID | None = None
    if_match: frozenset[int] | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: an HTTP status and body, where its stream and the log now stand.

    `repeated` tells that an earlier issue of the same command had been answered so.
    """

    status: int
    body: Mapping[str, Any]
    revision: int
    position: int
    consistency_token: str
    repeated: bool = False
