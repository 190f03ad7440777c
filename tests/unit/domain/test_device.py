"""Registering, enrolling, reporting and retiring a device."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from domain.device import commands as c
from domain.device import events as e
from domain.device.decider import DEVICE, credential_works, enrol, retire
from domain.device.state import INITIAL, Device, Enrolled, Registered, evolve
from domain.errors import NotFound, Rejected
from domain.lease.state import Lease
from domain.registry import Event
from tests.unit.domain import devices as d
from tests.unit.domain.specification import specification

given = specification(DEVICE)
FREE = Lease()
ENROLLED = (d.registered(), d.enrolled())


def state(*events: Event) -> Device:
    return reduce(evolve, events, INITIAL)


def refused(decide: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Rejected) as raised:
        decide(*arguments)
    return raised.value.rule


def test_an_operator_registers_a_device():
    given().when(d.register()).then(d.registered())


def test_labels_given_twice_count_once():
    given().when(d.register(labels=("a", "b", "a"))).then(d.registered(labels=("a", "b")))


def test_a_device_cannot_be_registered_twice():
    given(d.registered()).when(d.register()).then_raises(Rejected, "device_exists")


def test_the_name_of_a_retired_device_cannot_be_registered_again():
    given(d.registered(), e.DeviceRetired(None)).when(d.register()).then_raises(Rejected, "device_retired")


@pytest.mark.parametrize("name", ["", "Lamp", "-lamp", "a" * 65, "a/b", "a b", "a\n", ".a"])
def test_a_device_is_named_by_a_slug(name: str):
    with pytest.raises(ValidationError):
        d.register(device_id=name)


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "stage.left-1_b"])
def test_a_slug_may_be_as_long_as_64_characters(name: str):
    assert d.register(device_id=name).device_id == name


def test_a_device_enrols_with_its_token():
    assert enrol(state(d.registered()), FREE, d.enrol()) == (d.enrolled(),)


def test_an_enrolment_carries_the_epoch_of_the_lease():
    assert enrol(state(d.registered()), Lease(epoch=7), d.enrol()) == (d.enrolled(epoch=7),)


def test_a_wrong_token_does_not_enrol():
    assert refused(enrol, state(d.registered()), FREE, d.enrol(d.TOKEN_2)) == "enrolment_token_wrong"


def test_an_enrolment_says_the_same_of_a_device_that_does_not_exist():
    assert refused(enrol, INITIAL, FREE, d.enrol()) == "enrolment_token_wrong"


def test_a_used_token_does_not_enrol_again():
    assert refused(enrol, state(*ENROLLED), FREE, d.enrol()) == "enrolment_token_used"


def test_a_token_works_until_it_expires():
    registered = state(d.registered())
    last = d.TOMORROW - timedelta(microseconds=1)
    assert enrol(registered, FREE, d.enrol(at=last)) == (d.enrolled(),)
    assert refused(enrol, registered, FREE, d.enrol(at=d.TOMORROW)) == "enrolment_token_expired"


def test_a_retired_device_does_not_enrol():
    retired = state(d.registered(), e.DeviceRetired(None))
    assert refused(enrol, retired, FREE, d.enrol()) == "device_retired"
    assert refused(enrol, retired, FREE, d.enrol(d.TOKEN_2)) == "enrolment_token_wrong"


def test_an_operator_issues_a_token_for_a_device_that_lost_its_journal():
    given(*ENROLLED).when(d.issue_token()).then(d.reissued())
    again = state(*ENROLLED, d.reissued())
    assert refused(enrol, again, FREE, d.enrol(d.TOKEN)) == "enrolment_token_wrong"
    assert enrol(again, Lease(epoch=3), d.enrol(d.TOKEN_2)) == (d.enrolled(2, d.FIRST, 3),)


def test_a_new_token_revokes_the_credential():
    assert credential_works(state(*ENROLLED), d.FIRST, d.NOON)
    assert not credential_works(state(*ENROLLED, d.reissued()), d.FIRST, d.NOON)


def test_retiring_revokes_the_credential():
    assert not credential_works(state(*ENROLLED, e.DeviceRetired(None)), d.FIRST, d.NOON)


def test_a_second_enrolment_keeps_what_the_device_reported():
    before = state(*ENROLLED, e.DeviceAttributesReported(firmware="1.2.3"), d.reissued())
    after = evolve(before, d.enrolled(2))
    assert isinstance(after, Enrolled)
    assert after.attributes.firmware == "1.2.3"


def test_no_token_is_issued_for_a_retired_device():
    given(*ENROLLED, e.DeviceRetired(None)).when(d.issue_token()).then_raises(Rejected, "device_retired")


def test_a_device_rotates_its_credential():
    given(*ENROLLED).when(d.rotate(d.FIRST, d.SECOND)).then(d.rotated())


def test_both_credentials_work_for_ten_minutes():
    rotated = state(*ENROLLED, d.rotated())
    end = d.NOON + timedelta(minutes=10)
    assert credential_works(rotated, d.FIRST, end - timedelta(microseconds=1))
    assert not credential_works(rotated, d.FIRST, end)
    assert credential_works(rotated, d.SECOND, end)


def test_a_device_that_missed_the_answer_rotates_again_with_its_old_credential():
    later = d.NOON + timedelta(minutes=4)
    again = d.rotated(d.THIRD, d.FIRST, d.NOON + timedelta(minutes=10))
    given(*ENROLLED, d.rotated()).when(d.rotate(d.FIRST, d.THIRD, later)).then(again)
    rotated = state(*ENROLLED, d.rotated(), again)
    assert [credential_works(rotated, hash, later) for hash in (d.FIRST, d.SECOND, d.THIRD)] == [
        True,
        False,
        True,
    ]


def test_a_credential_that_has_ended_rotates_nothing():
    late = d.NOON + timedelta(minutes=10)
    given(*ENROLLED, d.rotated()).when(d.rotate(d.FIRST, d.THIRD, late)).then_raises(
        Rejected, "credential_superseded"
    )


def test_a_report_records_only_what_changed():
    given(*ENROLLED, e.DeviceAttributesReported("1.0.0", 10, d.BUNDLE, "a")).when(
        d.report(firmware="1.0.0", free_bytes=9, active_sha256=d.BUNDLE)
    ).then(e.DeviceAttributesReported(free_bytes=9))


@pytest.mark.parametrize("same", [{"firmware": "1.0.0"}, {"free_bytes": 10}, {"slot": "a"}, {}])
def test_a_report_without_change_is_no_event(same: dict[str, Any]):
    given(*ENROLLED, e.DeviceAttributesReported("1.0.0", 10, d.BUNDLE, "a")).when(d.report(**same)).then()


def test_a_device_reports_that_it_plays_nothing():
    playing = (*ENROLLED, e.DeviceAttributesReported(active_sha256=d.BUNDLE))
    nothing = e.DeviceAttributesReported(active_sha256="")
    given(*playing).when(d.report(active_sha256="")).then(nothing)
    stopped = given(*playing, nothing)
    assert stopped.state.attributes.active_sha256 is None
    stopped.when(d.report(active_sha256="")).then()


@pytest.mark.parametrize(
    "wrong",
    [
        {"firmware": "1"},
        {"firmware": "latest"},
        {"firmware": "1.0.0-" + "a" * 65},
        {"free_bytes": -1},
        {"free_bytes": 2**53},
        {"active_sha256": "F" * 64},
        {"slot": ""},
        {"slot": "a\n"},
        {"uptime": 1},
    ],
)
def test_a_report_with_wrong_attributes_is_no_command(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        d.report(**wrong)


@pytest.mark.parametrize("command", [d.report(slot="b"), d.rotate(d.FIRST, d.SECOND)])
def test_a_device_that_has_not_enrolled_says_nothing_of_itself(command: c.DeviceCommand):
    given(d.registered()).when(command).then_raises(Rejected, "device_not_enrolled")


@pytest.mark.parametrize("command", [d.report(slot="b"), d.rotate(d.FIRST, d.SECOND), d.issue_token()])
def test_a_device_that_does_not_exist_is_not_found(command: c.OnDevice):
    given().when(command).then_raises(NotFound)


def test_a_device_is_retired():
    assert retire(state(*ENROLLED), FREE, d.retire()) == (e.DeviceRetired("broken"),)


def test_a_device_is_retired_once():
    assert retire(state(*ENROLLED, e.DeviceRetired(None)), FREE, d.retire()) == ()


def test_a_leased_device_is_not_retired():
    assert refused(retire, state(*ENROLLED), Lease(1, d.DEPLOYMENT), d.retire()) == "device_leased"


def test_a_device_that_does_not_exist_is_not_retired():
    with pytest.raises(NotFound):
        retire(INITIAL, FREE, d.retire())


@pytest.mark.parametrize(
    "event",
    [d.reissued(), d.enrolled(), d.rotated(), e.DeviceAttributesReported(slot="b"), e.DeviceRetired(None)],
)
def test_no_event_changes_an_absent_or_a_retired_device(event: Event):
    assert evolve(INITIAL, event) == INITIAL
    retired = state(*ENROLLED, e.DeviceRetired(None))
    assert evolve(retired, event) == retired


def test_a_rotation_means_nothing_to_a_device_without_a_credential():
    registered = state(d.registered())
    assert evolve(registered, d.rotated()) == registered
    assert isinstance(registered, Registered)


@pytest.mark.parametrize(
    "events",
    [
        (),
        (d.registered(),),
        ENROLLED,
        (*ENROLLED, d.rotated()),
        (*ENROLLED, d.reissued()),
        (*ENROLLED, e.DeviceRetired("x")),
    ],
)
def test_every_state_survives_a_snapshot(events: tuple[Event, ...]):
    now = state(*events)
    assert msgspec.json.decode(msgspec.json.encode(now), type=Device) == now
