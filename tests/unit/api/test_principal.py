"""Whom commands and events name: a person by account, a device by its slug."""

from __future__ import annotations

from uuid import UUID

from api.security.principal import Device, Person
from commands.issue import Caller

ACCOUNT = UUID("3f6c0000-0000-8000-8000-000000000001")


def test_a_person_acts_under_their_account_and_never_their_name() -> None:
    person = Person(ACCOUNT, "Ada", frozenset({"operator"}))
    assert person.caller == Caller(f"user:{ACCOUNT}", frozenset({"operator"}))
    assert "Ada" not in person.actor


def test_a_device_acts_under_its_slug_with_the_role_of_devices_alone() -> None:
    assert Device("lamp-7").caller == Caller("device:lamp-7", frozenset({"device"}))
