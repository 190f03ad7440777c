"""What can be asked of a device. Times and the hashes of new secrets arrive with the command."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from domain.command import Command, Line, Role, Sha256, Tag

OPERATORS: frozenset[Role] = frozenset({"operator", "admin"})
DEVICES: frozenset[Role] = frozenset({"device"})

DeviceId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""The operator's name of a device: a slug of 1 to 64 characters."""

Labels = Annotated[tuple[Tag, ...], Field(max_length=10)]
Bytes = Annotated[int, Field(ge=0, le=2**53 - 1)]
Firmware = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}([-+][0-9A-Za-z.+-]{1,64})?$")]
Slot = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,16}$")]


class OnDevice(Command):
    """A command on one device's stream."""

    device_id: DeviceId


class OperatorCommand(OnDevice):
    """A device command for operators."""

    roles: ClassVar[frozenset[Role]] = OPERATORS


class DeviceCommand(OnDevice):
    """A command of a device on itself: whoever issues it takes `device_id` from the device's credential."""

    roles: ClassVar[frozenset[Role]] = DEVICES


class RegisterDevice(OperatorCommand):
    """Add a device to the fleet."""

    model: Line | None = None
    labels: Labels = ()
    token_sha256: Sha256
    token_expires_at: datetime


class IssueDeviceToken(OperatorCommand):
    """Let the device enrol again, and revoke the credential that it has."""

    token_sha256: Sha256
    token_expires_at: datetime


class RetireDevice(OperatorCommand):
    """Take the device out of the fleet for good."""

    reason: Line | None = None


class EnrolDevice(DeviceCommand):
    """Exchange a one-time token for a credential."""

    token_sha256: Sha256
    credential_sha256: Sha256
    at: datetime


class RotateDeviceCredential(DeviceCommand):
    """Exchange the credential that was presented for another one."""

    presented_sha256: Sha256
    credential_sha256: Sha256
    at: datetime


class ReportDeviceAttributes(DeviceCommand):
    """Report attributes; what is left out is as before. An empty `active_sha256`: it plays nothing."""

    firmware: Firmware | None = None
    free_bytes: Bytes | None = None
    active_sha256: Sha256 | Literal[""] | None = None
    slot: Slot | None = None


AloneOnDevice = RegisterDevice | IssueDeviceToken | RotateDeviceCredential | ReportDeviceAttributes
"""Commands that the device's own stream decides."""

WithLease = EnrolDevice | RetireDevice
"""Commands that look at the device's lease too."""
