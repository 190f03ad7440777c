"""What can happen to a device's lease, as the log keeps it for ever."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.registry import Event, EventType


class LeaseAcquired(Event, frozen=True):
    """A deployment holds the device, under a new epoch."""

    deployment: UUID
    epoch: int


class LeaseReleased(Event, frozen=True):
    """The deployment gave the device back."""

    deployment: UUID
    epoch: int


class LeaseForced(Event, frozen=True):
    """An operator took the device from the deployment.

    `epoch` is a new one, so that directives of the deployment are stale. Until the device has heard of it, an
    old directive may still work: nobody acquires the lease before `free_after`.
    """

    deployment: UUID
    epoch: int
    reason: str
    free_after: datetime


LeaseEvent = LeaseAcquired | LeaseReleased | LeaseForced
"""Every event of a lease: a new one that `evolve` does not match fails the type check."""

LEASE_EVENTS = (
    EventType("lease.acquired", LeaseAcquired),
    EventType("lease.released", LeaseReleased),
    EventType("lease.forced", LeaseForced),
)
