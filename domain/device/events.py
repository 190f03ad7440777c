"""What can happen to a device, as the log keeps it for ever. Secrets are recorded as their SHA-256 only."""

from __future__ import annotations

from datetime import datetime

from domain.registry import Event, EventType


class DeviceRegistered(Event, frozen=True):
    """An operator added the device; its enrolment token can be used once, before `token_expires_at`."""

    device_id: str
    model: str | None
    labels: tuple[str, ...]
    token_sha256: str
    token_expires_at: datetime


class DeviceTokenIssued(Event, frozen=True):
    """An operator issued another enrolment token: earlier tokens and credentials no longer work."""

    token_sha256: str
    token_expires_at: datetime


class DeviceEnrolled(Event, frozen=True):
    """The device used its token and got a credential.

    `enrolment` counts from 1; a device's `seq` starts again with each. `epoch` is that of the lease, below
    which the device obeys no directive.
    """

    enrolment: int
    credential_sha256: str
    epoch: int


class DeviceCredentialRotated(Event, frozen=True):
    """The device got another credential; the one before works until `previous_until`."""

    credential_sha256: str
    previous_sha256: str
    previous_until: datetime


class DeviceAttributesReported(Event, frozen=True, omit_defaults=True):
    """The device reported attributes that have changed; what is left out stays.

    `active_sha256` is the bundle that it observes itself to play; an empty one: it plays nothing.
    """

    firmware: str | None = None
    free_bytes: int | None = None
    active_sha256: str | None = None
    slot: str | None = None


class DeviceRetired(Event, frozen=True):
    """The device left the fleet for good; its credential no longer works, its history stays."""

    reason: str | None


DeviceEvent = (
    DeviceRegistered
    | DeviceTokenIssued
    | DeviceEnrolled
    | DeviceCredentialRotated
    | DeviceAttributesReported
    | DeviceRetired
)
"""Every event of a device: a new one that `evolve` does not match fails the type check."""

DEVICE_EVENTS = (
    EventType("device.registered", DeviceRegistered),
    EventType("device.token_issued", DeviceTokenIssued),
    EventType("device.enrolled", DeviceEnrolled),
    EventType("device.credential_rotated", DeviceCredentialRotated),
    EventType("device.attributes_reported", DeviceAttributesReported),
    EventType("device.retired", DeviceRetired),
)
