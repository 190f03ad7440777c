"""Where a lease stands, and the fold that leads from one state to the next."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from domain.lease import events as e

FOLD_VERSION = 1
"""Part of every snapshot: a change of the state below must raise it, so that older snapshots are ignored."""


class Lease(msgspec.Struct, frozen=True):
    """The lease of a device: `epoch` is its fencing token, 0 before the first holder, and never falls.

    `holder` is a deployment, None = free. A forced lease may be acquired only from `free_after` on.
    """

    epoch: int = 0
    holder: UUID | None = None
    free_after: datetime | None = None


INITIAL = Lease()


def evolve(state: Lease, event: e.LeaseEvent) -> Lease:
    """Return the state after the event."""
    match event:
        case e.LeaseAcquired(deployment, epoch):
            return Lease(epoch, deployment)
        case e.LeaseReleased():
            return Lease(state.epoch)
        case e.LeaseForced():
            return Lease(event.epoch, None, event.free_after)
        case _:
            assert_never(event)
