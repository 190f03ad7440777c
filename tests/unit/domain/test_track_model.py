"""Random commands against a track, and the same against a model plain enough to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.errors import Invalid, LedgerError
from domain.events import REGISTRY
from domain.registry import Event
from domain.track import commands as c
from domain.track.decider import decide
from domain.track.state import INITIAL, Absent, Analysing, Archived, Failed, Queued, Ready, Track, evolve
from tests.unit.domain import tracks as t


@dataclass
class Model:
    """A track as a person would keep it on a sheet of paper."""

    exists: bool = False
    archived: bool = False
    job: int = 0
    job_status: str = ""
    attempt: int = 0
    versions: list[str] = field(default_factory=list[str])
    current: int = 0
    machine: int = 0
    by_hand: bool = False

    @property
    def status(self) -> type[object]:
        if not self.exists:
            return Absent
        if self.archived:
            return Archived
        if self.versions:
            return Ready
        waiting = {"queued": Queued, "retrying": Queued, "running": Analysing}
        return waiting.get(self.job_status, Failed)

    @property
    def active(self) -> bool:
        return self.job_status in ("queued", "running", "retrying")

    def new_version(self, reason: str) -> int:
        self.versions.append(reason)
        return len(self.versions)


numbers = st.integers(1, 3)
attempts = st.integers(1, 3)
EDITS = (
    {"edit": "double"},
    {"edit": "halve"},
    {"edit": "offset", "offset_ms": 10.0},
    {"edit": "shift_half_beat"},
)


class Tracks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.state: Track = INITIAL
        self.history: list[Event] = []

    def issue(self, command: c.TrackCommand, allowed: bool) -> bool:
        """Issue the command; the decider must allow exactly what the model allows."""
        try:
            events = decide(self.state, command)
        except Invalid:
            return False  # a grid no edit could be made of; the model knows no grids
        except LedgerError:
            assert not allowed, f"{command} was refused"
            return False
        assert allowed, f"{command} was allowed"
        self.history += events
        self.state = reduce(evolve, events, self.state)
        return True

    @property
    def live(self) -> bool:
        return self.model.exists and not self.model.archived

    def is_job(self, number: int) -> bool:
        return self.live and number == self.model.job

    def made(self) -> c.Made:
        return t.made(len(self.model.versions) + 1)

    @rule()
    def upload(self) -> None:
        if self.issue(t.upload(), not self.model.exists):
            self.model = Model(exists=True, job=1, job_status="queued")

    @rule(number=numbers, attempt=attempts)
    def start(self, number: int, attempt: int) -> None:
        m = self.model
        allowed = self.is_job(number) and m.job_status in ("queued", "retrying") and attempt == m.attempt + 1
        if self.issue(t.start(number, attempt), allowed):
            m.job_status, m.attempt = "running", attempt

    @rule(number=numbers, attempt=attempts)
    def complete(self, number: int, attempt: int) -> None:
        m = self.model
        allowed = self.is_job(number) and m.job_status == "running" and attempt == m.attempt
        if self.issue(t.complete(number, attempt, len(m.versions) + 1), allowed):
            m.job_status = "completed"
            m.machine = m.new_version("analysis")
            m.current = m.current if m.by_hand else m.machine

    @rule(number=numbers, attempt=attempts, code=st.sampled_from(["crashed", "undecodable"]))
    def fail(self, number: int, attempt: int, code: str) -> None:
        m = self.model
        allowed = self.is_job(number) and m.job_status == "running" and attempt == m.attempt
        if self.issue(t.fail(number, attempt, code), allowed):
            m.job_status = "dead" if code == "undecodable" or attempt == 3 else "retrying"

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        command = c.CancelAnalysis(track_id=t.TRACK, job_id=t.ids.job_id(t.TRACK, number))
        if self.issue(command, self.is_job(number) and self.model.active):
            self.model.job_status = "cancelled"

    @rule()
    def request(self) -> None:
        if self.issue(c.RequestAnalysis(track_id=t.TRACK), self.live and not self.model.active):
            self.next_job()

    @rule(number=numbers)
    def requeue(self, number: int) -> None:
        command = c.RequeueAnalysis(track_id=t.TRACK, job_id=t.ids.job_id(t.TRACK, number))
        allowed = self.is_job(number) and self.model.job_status in ("dead", "cancelled")
        if self.issue(command, allowed):
            self.next_job()

    def next_job(self) -> None:
        self.model.job += 1
        self.model.job_status, self.model.attempt = "queued", 0

    @rule(edit=st.sampled_from(EDITS))
    def override(self, edit: dict[str, object]) -> None:
        command = c.ApplyBeatOverride.model_validate({"track_id": t.TRACK, "edit": edit, "made": self.made()})
        if self.issue(command, self.live and bool(self.model.versions)):
            self.model.current = self.model.new_version("override")
            self.model.by_hand = True

    @rule()
    def revert(self) -> None:
        if self.issue(
            c.RevertBeatOverride(track_id=t.TRACK, made=self.made()), self.live and self.model.by_hand
        ):
            self.model.current = self.model.new_version("revert")
            self.model.by_hand = False

    @rule()
    def reference(self) -> None:
        command = c.UploadReference(
            track_id=t.TRACK, kind="text", sha256="d" * 64, reference_ms=t.BEATS, made=self.made()
        )
        if self.issue(command, self.live and bool(self.model.versions)):
            self.model.current = self.model.new_version("reference")

    @rule()
    def archive(self) -> None:
        if self.issue(c.ArchiveTrack(track_id=t.TRACK), self.live):
            self.model.archived = True

    @invariant()
    def the_track_stands_where_the_model_stands(self) -> None:
        assert type(self.state) is self.model.status
        if isinstance(self.state, Ready):
            assert self.state.latest == len(self.model.versions)
            assert self.state.current.number == self.model.current
            assert self.state.current.overridden == self.model.by_hand
            assert self.state.job.status == self.model.job_status

    @invariant()
    def a_fold_of_the_history_and_a_snapshot_give_the_same_state(self) -> None:
        assert reduce(evolve, self.history, INITIAL) == self.state
        assert msgspec.json.decode(msgspec.json.encode(self.state), type=Track) == self.state

    def teardown(self) -> None:
        for event in self.history:
            encoded = REGISTRY.encode(event, UUID(int=0))
            shape = REGISTRY.types[encoded.type].shape
            assert msgspec.json.decode(encoded.data, type=shape) == event


TestTracks = Tracks.TestCase
TestTracks.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
