"""How a command is issued and answered, apart from its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.command import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """The issuer of a command (`user:ACCOUNT-ID`, `service:NAME` or `device:SLUG`) and its roles."""

    actor: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Issue:
    """The circumstances of one command.

    `command_id` identifies a repetition: derived from an Idempotency-Key or by a process manager, None to
    deduplicate nothing. `if_match` holds revisions, one of which must be the current one. A correlation id
    of None starts a new correlation with this command's id.
    """

    caller: Caller
    command_id: UUID | None = None
    if_match: frozenset[int] | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command: an HTTP status and body, and the new revision and position.

    `repeated` = an earlier issue of the same command got this answer.
    """

    status: int
    body: Mapping[str, Any]
    revision: int
    position: int
    consistency_token: str
    repeated: bool = False
