"""The device's entries in the table of handlers: which streams each command is decided on, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from commands.handler import Handler, Handlers, on_stream
from domain import ids
from domain.decider import Decision, Target, TargetStates
from domain.device import commands as c
from domain.device import events as e
from domain.device.decider import DEVICE, enrol, retire
from domain.device.state import Device
from domain.lease.decider import LEASE
from domain.lease.state import Lease
from domain.registry import Event

C = TypeVar("C", bound=c.OnDevice)


def device_target(device_id: str) -> Target[Device]:
    """Return a device's stream."""
    stream = ids.device_stream(device_id)
    return DEVICE.at(stream, str(stream))


def lease_target(device_id: str) -> Target[Lease]:
    """Return the stream of a device's lease, whose events are in one order with the device's."""
    return LEASE.at(ids.lease_stream(device_id), str(ids.device_stream(device_id)))


def _with_lease(
    decide: Callable[[Device, Lease, C], tuple[Event, ...]], status: int = 200, **more: Any
) -> Handler[C]:
    def decided(states: TargetStates, command: C) -> Decision:
        device, lease = device_target(command.device_id), lease_target(command.device_id)
        return Decision({device.stream: decide(states[device], states[lease], command)})

    def targets(command: C) -> tuple[Target[Any], ...]:
        return device_target(command.device_id), lease_target(command.device_id)

    return Handler(targets, decided, status=status, **more)


def _device(command: c.OnDevice) -> Target[Device]:
    return device_target(command.device_id)


def _enrolled(command: c.EnrolDevice, events: tuple[Event, ...]) -> Mapping[str, Any]:
    (event,) = (event for event in events if isinstance(event, e.DeviceEnrolled))
    return {"enrolment": event.enrolment, "epoch": event.epoch}


_TOKEN = frozenset({"token_sha256", "token_expires_at"})
_CREDENTIAL = frozenset({"credential_sha256", "at"})

DEVICE_HANDLERS: Final[Handlers] = {
    c.RegisterDevice: on_stream(_device, 201, incidental=_TOKEN),
    c.IssueDeviceToken: on_stream(_device, 201, incidental=_TOKEN),
    c.RetireDevice: _with_lease(retire),
    c.EnrolDevice: _with_lease(enrol, body=_enrolled, incidental=_CREDENTIAL),
    c.RotateDeviceCredential: on_stream(_device, incidental=_CREDENTIAL),
    c.ReportDeviceAttributes: on_stream(_device),
}
