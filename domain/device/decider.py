"""The device's rules: what each command does to a device in each state, as events."""

from __future__ import annotations

from datetime import datetime, timedelta
from hmac import compare_digest
from typing import assert_never, get_args

from domain.decider import Decider
from domain.device import commands as c
from domain.device import events as e
from domain.device.state import FOLD_VERSION, INITIAL, Absent, Device, Enrolled, Registered, Retired, evolve
from domain.errors import NotFound, Rejected
from domain.lease.state import Lease
from domain.registry import Event

TOKEN_LIFE = timedelta(hours=24)
PREVIOUS_LIFE = timedelta(minutes=10)
"""How long a credential works after it was rotated."""


def decide(state: Device, command: c.AloneOnDevice) -> tuple[Event, ...]:
    """Return what the command makes happen; nothing when it changes nothing. Raises NotFound, Rejected."""
    match command:
        case c.RegisterDevice():
            return _register(state, command)
        case c.IssueDeviceToken(token_sha256=token, token_expires_at=expires):
            _in_fleet(state, command)
            return (e.DeviceTokenIssued(token, expires),)
        case c.RotateDeviceCredential():
            return _rotate(_enrolled(state, command), command)
        case c.ReportDeviceAttributes():
            return _report(_enrolled(state, command), command)
        case _:
            assert_never(command)


def enrol(state: Device, lease: Lease, command: c.EnrolDevice) -> tuple[Event, ...]:
    """Return the device's enrolment.

    Raises Rejected: enrolment_token_wrong, also for a device that does not exist, so that a stranger learns
    no names; enrolment_token_used, enrolment_token_expired, device_retired.
    """
    if isinstance(state, Absent) or not compare_digest(state.token_sha256, command.token_sha256):
        raise Rejected(
            "enrolment_token_wrong", "the device has no such enrolment token: ask an operator for another one"
        )
    if isinstance(state, Retired):
        raise _retired(command)
    if isinstance(state, Enrolled):
        raise Rejected(
            "enrolment_token_used", "the enrolment token was used: ask an operator for another one"
        )
    if command.at >= state.token_expires_at:
        raise Rejected(
            "enrolment_token_expired", "the enrolment token has expired: ask an operator for another one"
        )
    return (e.DeviceEnrolled(state.enrolment + 1, command.credential_sha256, lease.epoch),)


def retire(state: Device, lease: Lease, command: c.RetireDevice) -> tuple[Event, ...]:
    """Return the device's retirement; nothing if it is retired. Raises NotFound, Rejected while leased."""
    if isinstance(state, Retired):
        return ()
    _in_fleet(state, command)
    if lease.holder is not None:
        raise Rejected(
            "device_leased",
            f"deployment {lease.holder} holds the device {command.device_id}: wait for its end or cancel it",
        )
    return (e.DeviceRetired(command.reason),)


def credential_works(state: Device, credential_sha256: str, now: datetime) -> bool:
    """Return whether a device's credential works at this time; compares in constant time."""
    if not isinstance(state, Enrolled):
        return False
    if compare_digest(state.credential_sha256, credential_sha256):
        return True
    if state.previous_sha256 is None or state.previous_until is None or now >= state.previous_until:
        return False
    return compare_digest(state.previous_sha256, credential_sha256)


def _register(state: Device, command: c.RegisterDevice) -> tuple[Event, ...]:
    if isinstance(state, Retired):
        raise _retired(command)
    if not isinstance(state, Absent):
        raise Rejected("device_exists", f"the device {command.device_id} is registered: issue a token for it")
    labels = tuple(dict.fromkeys(command.labels))
    return (
        e.DeviceRegistered(
            command.device_id, command.model, labels, command.token_sha256, command.token_expires_at
        ),
    )


def _rotate(state: Enrolled, command: c.RotateDeviceCredential) -> tuple[Event, ...]:
    presented = command.presented_sha256
    if not credential_works(state, presented, command.at):
        raise Rejected("credential_superseded", "the credential was replaced: use the latest one")
    until = command.at + PREVIOUS_LIFE
    if not compare_digest(state.credential_sha256, presented):
        # The device did not get the answer of an earlier rotation. Its old credential lives no longer for it.
        until = min(until, state.previous_until or until)
    return (e.DeviceCredentialRotated(command.credential_sha256, presented, until),)


def _report(state: Enrolled, command: c.ReportDeviceAttributes) -> tuple[Event, ...]:
    now = state.attributes
    active = None if command.active_sha256 == (now.active_sha256 or "") else command.active_sha256
    changed = e.DeviceAttributesReported(
        firmware=None if command.firmware == now.firmware else command.firmware,
        free_bytes=None if command.free_bytes == now.free_bytes else command.free_bytes,
        active_sha256=active,
        slot=None if command.slot == now.slot else command.slot,
    )
    return () if changed == e.DeviceAttributesReported() else (changed,)


def _in_fleet(state: Device, command: c.OnDevice) -> Registered | Enrolled:
    if isinstance(state, Absent):
        raise NotFound(f"there is no device {command.device_id}")
    if isinstance(state, Retired):
        raise _retired(command)
    return state


def _enrolled(state: Device, command: c.OnDevice) -> Enrolled:
    found = _in_fleet(state, command)
    if isinstance(found, Registered):
        raise Rejected("device_not_enrolled", f"the device {command.device_id} has to enrol with its token")
    return found


def _retired(command: c.OnDevice) -> Rejected:
    return Rejected("device_retired", f"the device {command.device_id} is retired: use another device id")


DEVICE: Decider[Device] = Decider(
    category="device",
    initial=INITIAL,
    evolve=evolve,
    decide=decide,
    state=Device,
    fold_version=FOLD_VERSION,
    topic="device",
    folds=e.DeviceEvent,
    events=e.DEVICE_EVENTS,
    commands=(*get_args(c.AloneOnDevice), *get_args(c.WithLease)),
)
