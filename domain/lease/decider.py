"""The lease's rules. No command is decided on a lease alone: those of deployments call these functions."""

from __future__ import annotations

from datetime import datetime
from typing import Never
from uuid import UUID

from domain.decider import Decider
from domain.errors import Rejected
from domain.lease import events as e
from domain.lease.state import FOLD_VERSION, INITIAL, Lease, evolve


def acquired(state: Lease, deployment: UUID, now: datetime) -> e.LeaseAcquired:
    """Return that the deployment gets the lease. Raises Rejected("device_busy") while it is not free."""
    if state.holder is not None:
        raise Rejected("device_busy", f"deployment {state.holder} holds the device")
    if state.free_after is not None and now < state.free_after:
        raise Rejected(
            "device_busy", f"the device was taken by force and is free after {state.free_after.isoformat()}"
        )
    return e.LeaseAcquired(deployment, state.epoch + 1)


def released(state: Lease, deployment: UUID) -> tuple[e.LeaseReleased, ...]:
    """Return that the deployment gives the lease back; nothing if it does not hold it."""
    return (e.LeaseReleased(deployment, state.epoch),) if state.holder == deployment else ()


def forced(state: Lease, reason: str, free_after: datetime) -> e.LeaseForced:
    """Return that an operator takes the lease from its holder. Raises Rejected("lease_free") without one."""
    if state.holder is None:
        raise Rejected("lease_free", "no deployment holds the device")
    return e.LeaseForced(state.holder, state.epoch + 1, reason, free_after)


def _decide(state: Lease, command: Never) -> tuple[()]:
    return ()


LEASE: Decider[Lease] = Decider(
    category="lease",
    initial=INITIAL,
    evolve=evolve,
    decide=_decide,
    state=Lease,
    fold_version=FOLD_VERSION,
    topic="device",
    folds=e.LeaseEvent,
    events=e.LEASE_EVENTS,
)
