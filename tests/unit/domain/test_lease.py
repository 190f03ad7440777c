"""The lease: one holder at most, and an epoch that never falls."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from uuid import UUID

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.errors import Rejected
from domain.lease import events as e
from domain.lease.decider import acquired, forced, released
from domain.lease.state import INITIAL, Lease, evolve
from tests.unit.domain import devices as d

HELD = Lease(1, d.DEPLOYMENT)


def refused(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(Rejected) as raised:
        call(*arguments)
    return raised.value.rule


def test_the_first_holder_gets_epoch_one():
    assert acquired(INITIAL, d.DEPLOYMENT, d.NOON) == e.LeaseAcquired(d.DEPLOYMENT, 1)


@pytest.mark.parametrize("deployment", [d.DEPLOYMENT, d.OTHER])
def test_a_lease_that_is_held_is_busy(deployment: UUID):
    assert refused(acquired, HELD, deployment, d.NOON) == "device_busy"


def test_the_holder_gives_the_lease_back_once():
    given_back = released(HELD, d.DEPLOYMENT)
    assert given_back == (e.LeaseReleased(d.DEPLOYMENT, 1),)
    assert released(reduce(evolve, given_back, HELD), d.DEPLOYMENT) == ()


def test_a_deployment_gives_back_no_lease_of_another():
    assert released(HELD, d.OTHER) == ()


def test_the_next_holder_gets_a_higher_epoch():
    free = evolve(HELD, e.LeaseReleased(d.DEPLOYMENT, 1))
    assert free == Lease(1)
    assert acquired(free, d.OTHER, d.NOON) == e.LeaseAcquired(d.OTHER, 2)


def test_force_raises_the_epoch_and_keeps_the_lease_from_the_next_holder_for_a_while():
    event = forced(HELD, "lost", d.TOMORROW)
    assert event == e.LeaseForced(d.DEPLOYMENT, 2, "lost", d.TOMORROW)
    taken = evolve(HELD, event)
    assert refused(acquired, taken, d.OTHER, d.TOMORROW - timedelta(microseconds=1)) == "device_busy"
    assert acquired(taken, d.OTHER, d.TOMORROW) == e.LeaseAcquired(d.OTHER, 3)


def test_a_deployment_that_lost_its_lease_by_force_has_nothing_to_give_back():
    assert released(evolve(HELD, forced(HELD, "lost", d.NOON)), d.DEPLOYMENT) == ()


def test_a_free_lease_is_not_forced():
    assert refused(forced, INITIAL, "lost", d.NOON) == "lease_free"


deployments = st.sampled_from([UUID(int=n) for n in range(1, 5)])
minutes = st.integers(0, 60).map(lambda n: timedelta(minutes=n))


class Leases(RuleBasedStateMachine):
    """Deployments race for one device, operators use force, and the clock goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.state = INITIAL
        self.now = d.NOON
        self.holders: set[UUID] = set()
        self.busy_until: datetime = d.NOON
        self.highest = 0
        self.epochs: set[int] = set()

    def record(self, *events: e.LeaseEvent) -> None:
        self.state = reduce(evolve, events, self.state)

    @rule(passed=minutes)
    def time_passes(self, passed: timedelta) -> None:
        self.now += passed

    @rule(deployment=deployments)
    def acquire(self, deployment: UUID) -> None:
        try:
            event = acquired(self.state, deployment, self.now)
        except Rejected:
            assert self.holders or self.now < self.busy_until
            return
        assert not self.holders
        assert self.now >= self.busy_until
        # A token that a former holder knows would let its directives through.
        assert event.epoch not in self.epochs
        self.epochs.add(event.epoch)
        self.holders.add(deployment)
        self.record(event)

    @rule(deployment=deployments)
    def release(self, deployment: UUID) -> None:
        events = released(self.state, deployment)
        assert bool(events) == (deployment in self.holders)
        self.holders.discard(deployment)
        self.record(*events)

    @rule(wait=minutes)
    def force(self, wait: timedelta) -> None:
        try:
            event = forced(self.state, "lost", self.now + wait)
        except Rejected:
            assert not self.holders
            return
        assert event.deployment in self.holders
        assert event.epoch not in self.epochs
        self.epochs.add(event.epoch)
        self.holders.clear()
        self.busy_until = self.now + wait
        self.record(event)

    @invariant()
    def at_most_one_deployment_holds_it(self) -> None:
        assert len(self.holders) <= 1
        assert self.state.holder == next(iter(self.holders), None)

    @invariant()
    def the_epoch_never_falls(self) -> None:
        assert self.state.epoch >= self.highest
        self.highest = self.state.epoch

    @invariant()
    def it_survives_a_snapshot(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(self.state), type=Lease) == self.state


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
