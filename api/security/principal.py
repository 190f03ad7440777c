"""Who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from commands.issue import Caller

PersonRole = Literal["producer", "operator", "viewer", "auditor", "admin"]
"""The roles an access token can carry: workers and devices have doors of their own."""

READERS: frozenset[PersonRole] = frozenset({"producer", "operator", "viewer", "auditor", "admin"})
PRODUCERS: frozenset[PersonRole] = frozenset({"producer", "admin"})
AUDITORS: frozenset[PersonRole] = frozenset({"auditor", "admin"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A person's account as their access token states it."""

    account_id: UUID
    name: str
    roles: frozenset[PersonRole]

    @property
    def actor(self) -> str:
        """The person as events name them, for ever and without their name."""
        return f"user:{self.account_id}"

    @property
    def caller(self) -> Caller:
        """The person as the write side knows them."""
        return Caller(self.actor, frozenset(self.roles))
