"""Where a device stands: a closed union of states, and the fold that leads from one to the next."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from domain.device import events as e

FOLD_VERSION = 1
"""Part of every snapshot: a change of the states below must raise it, so that older snapshots are ignored."""


class Profile(msgspec.Struct, frozen=True):
    """What an operator said about a device."""

    device_id: str
    model: str | None
    labels: tuple[str, ...]


class Attributes(msgspec.Struct, frozen=True):
    """What a device last reported; None = never, for `active_sha256` also: it plays nothing."""

    firmware: str | None = None
    free_bytes: int | None = None
    active_sha256: str | None = None
    slot: str | None = None


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """No such device."""


class Registered(msgspec.Struct, frozen=True, tag="registered"):
    """Waiting for the device to use its token. `enrolment` counts the enrolments so far, 0.. ."""

    profile: Profile
    token_sha256: str
    token_expires_at: datetime
    enrolment: int = 0
    attributes: Attributes = Attributes()


class Enrolled(msgspec.Struct, frozen=True, tag="enrolled"):
    """In the fleet. `token_sha256` is that of the token that was used."""

    profile: Profile
    token_sha256: str
    enrolment: int
    credential_sha256: str
    attributes: Attributes
    previous_sha256: str | None = None
    previous_until: datetime | None = None


class Retired(msgspec.Struct, frozen=True, tag="retired"):
    """Out of the fleet for good. The hashes tell the device itself from a stranger."""

    profile: Profile
    attributes: Attributes
    token_sha256: str
    credential_sha256: str | None


Device = Absent | Registered | Enrolled | Retired

INITIAL: Device = Absent()


def evolve(state: Device, event: e.DeviceEvent) -> Device:
    """Return the state after the event. Total: an event that a state has no use for leaves it as it is."""
    if isinstance(event, e.DeviceRegistered):
        profile = Profile(event.device_id, event.model, event.labels)
        return Registered(profile, event.token_sha256, event.token_expires_at)
    if isinstance(state, Absent | Retired):
        return state
    match event:
        case e.DeviceTokenIssued(token, expires):
            return Registered(state.profile, token, expires, state.enrolment, state.attributes)
        case e.DeviceEnrolled(enrolment, credential):
            return Enrolled(state.profile, state.token_sha256, enrolment, credential, state.attributes)
        case e.DeviceCredentialRotated():
            return _rotated(state, event)
        case e.DeviceAttributesReported():
            return msgspec.structs.replace(state, attributes=_reported(state.attributes, event))
        case e.DeviceRetired():
            credential = state.credential_sha256 if isinstance(state, Enrolled) else None
            return Retired(state.profile, state.attributes, state.token_sha256, credential)
        case _:
            assert_never(event)


def _rotated(state: Registered | Enrolled, event: e.DeviceCredentialRotated) -> Device:
    if isinstance(state, Registered):
        return state
    return msgspec.structs.replace(
        state,
        credential_sha256=event.credential_sha256,
        previous_sha256=event.previous_sha256,
        previous_until=event.previous_until,
    )


def _reported(now: Attributes, event: e.DeviceAttributesReported) -> Attributes:
    return Attributes(
        now.firmware if event.firmware is None else event.firmware,
        now.free_bytes if event.free_bytes is None else event.free_bytes,
        now.active_sha256 if event.active_sha256 is None else event.active_sha256 or None,
        now.slot if event.slot is None else event.slot,
    )
