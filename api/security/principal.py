"""Who a request comes from: a person with an access token, or a device with its credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from commands.issue import Caller
from domain.command import Role

PersonRole = Literal["producer", "operator", "viewer", "auditor", "admin"]
"""The roles an access token can carry: workers and devices have doors of their own."""

READERS: frozenset[PersonRole] = frozenset({"producer", "operator", "viewer", "auditor", "admin"})
PRODUCERS: frozenset[PersonRole] = frozenset({"producer", "admin"})
AUDITORS: frozenset[PersonRole] = frozenset({"auditor", "admin"})


@dataclass(frozen=True, slots=True)
class Person:
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


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its credential states it. `slug` is the operator's name for it."""

    slug: str

    @property
    def roles(self) -> frozenset[Role]:
        """The role of every device."""
        return frozenset({"device"})

    @property
    def actor(self) -> str:
        """The device as events name it."""
        return f"device:{self.slug}"

    @property
    def caller(self) -> Caller:
        """The device as the write side knows it."""
        return Caller(self.actor, self.roles)


Principal = Person | Device
"""Either has `roles`, the `actor` that events name, and the `caller` of its commands."""
