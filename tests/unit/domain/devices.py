"""A device's events and commands with sensible contents, for tests to vary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.device import commands as c
from domain.device import events as e

DEVICE = "lamp-1"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOMORROW = NOON + timedelta(days=1)
DEPLOYMENT = UUID("01900000-0000-7000-8000-0000000000d1")
OTHER = UUID("01900000-0000-7000-8000-0000000000d2")
TOKEN, TOKEN_2 = "a" * 64, "b" * 64
FIRST, SECOND, THIRD = "1" * 64, "2" * 64, "3" * 64
BUNDLE = "f" * 64


def registered(**change: Any) -> e.DeviceRegistered:
    return msgspec.structs.replace(e.DeviceRegistered(DEVICE, "Box", ("stage",), TOKEN, TOMORROW), **change)


def enrolled(enrolment: int = 1, credential: str = FIRST, epoch: int = 0) -> e.DeviceEnrolled:
    return e.DeviceEnrolled(enrolment, credential, epoch)


def reissued() -> e.DeviceTokenIssued:
    return e.DeviceTokenIssued(TOKEN_2, TOMORROW)


def rotated(
    credential: str = SECOND, previous: str = FIRST, until: datetime = NOON + timedelta(minutes=10)
) -> e.DeviceCredentialRotated:
    return e.DeviceCredentialRotated(credential, previous, until)


def register(**change: Any) -> c.RegisterDevice:
    fields: dict[str, Any] = {
        "device_id": DEVICE,
        "model": "Box",
        "labels": ("stage",),
        "token_sha256": TOKEN,
        "token_expires_at": TOMORROW,
    }
    return c.RegisterDevice(**{**fields, **change})


def enrol(token: str = TOKEN, at: datetime = NOON) -> c.EnrolDevice:
    return c.EnrolDevice(device_id=DEVICE, token_sha256=token, credential_sha256=FIRST, at=at)


def rotate(presented: str, credential: str, at: datetime = NOON) -> c.RotateDeviceCredential:
    return c.RotateDeviceCredential(
        device_id=DEVICE, presented_sha256=presented, credential_sha256=credential, at=at
    )


def report(**attributes: Any) -> c.ReportDeviceAttributes:
    return c.ReportDeviceAttributes(device_id=DEVICE, **attributes)


def retire() -> c.RetireDevice:
    return c.RetireDevice(device_id=DEVICE, reason="broken")


def issue_token() -> c.IssueDeviceToken:
    return c.IssueDeviceToken(device_id=DEVICE, token_sha256=TOKEN_2, token_expires_at=TOMORROW)
