"""Where a track stands: a closed union of states, and the fold that leads from one to the next."""

from __future__ import annotations

from typing import Literal, assert_never
from uuid import UUID

import msgspec

from domain.track import events as e

FOLD_VERSION = 1
"""Part of every snapshot: a change of the states below must raise it, so that older snapshots are ignored."""

JobStatus = Literal["queued", "running", "retrying", "completed", "cancelled", "dead"]


class Profile(msgspec.Struct, frozen=True):
    """What a track is, whatever became of its analyses."""

    track_id: UUID
    title: str
    artist: str | None
    tags: tuple[str, ...]
    preset: e.Preset
    filename: str
    media_type: str
    audio_sha256: str
    audio_bytes: int
    duration_ms: float


class Job(msgspec.Struct, frozen=True):
    """The track's latest analysis job. `attempt` 0 = not started yet."""

    job_id: UUID
    number: int
    preset: e.Preset
    bpm_hint: float | None
    engine: e.Engine
    priority: int
    status: JobStatus = "queued"
    attempt: int = 0

    @property
    def active(self) -> bool:
        """Whether a result or an end is still to come."""
        return self.status in ("queued", "running", "retrying")


class Version(msgspec.Struct, frozen=True):
    """A version with its grid; `overridden` tells that a human made the grid."""

    number: int
    beats_ms: tuple[float, ...]
    downbeats_ms: tuple[float, ...]
    artefacts: dict[str, e.Artefact]
    overridden: bool = False


class Reference(msgspec.Struct, frozen=True):
    """Beats a user gave as the truth to score against."""

    kind: str
    sha256: str
    beats_ms: tuple[float, ...]


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """No such track."""


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """Waiting for a first result, before an attempt or between two."""

    profile: Profile
    job: Job


class Analysing(msgspec.Struct, frozen=True, tag="analysing"):
    """An attempt at the first result is running."""

    profile: Profile
    job: Job


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job ended and there has never been a result."""

    profile: Profile
    job: Job


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """There is a current version; a re-analysis may run beside it.

    `machine` is the latest analysis' own version, which a revert restores; `current` is what plays.
    """

    profile: Profile
    job: Job
    latest: int
    machine: Version
    current: Version
    reference: Reference | None = None


class Archived(msgspec.Struct, frozen=True, tag="archived"):
    """Out of the lists for good."""

    profile: Profile


Track = Absent | Queued | Analysing | Failed | Ready | Archived
Live = Queued | Analysing | Failed | Ready

INITIAL: Track = Absent()


_Version = e.AnalysisCompleted | e.BeatOverrideApplied | e.BeatOverrideReverted | e.ReferenceGiven
_JobMove = e.AnalysisQueued | e.AnalysisStarted | e.AnalysisFailed | e.AnalysisAbandoned


def evolve(state: Track, event: e.TrackEvent) -> Track:
    """Return the state after the event. Total: an event that a state has no use for leaves it as it is."""
    if isinstance(event, e.TrackUploaded):
        # A placeholder job: the append that uploads also queues the first analysis.
        return Queued(_profile(event), Job(event.track_id, 0, event.preset, None, "beatledger", 0))
    if isinstance(state, Absent | Archived):
        return state
    match event:
        case e.TrackDescribed():
            return msgspec.structs.replace(state, profile=_described(state.profile, event))
        case e.TrackArchived():
            return Archived(state.profile)
        case e.AnalysisCompleted() | e.BeatOverrideApplied() | e.BeatOverrideReverted() | e.ReferenceGiven():
            return _version_made(state, event)
        case e.AnalysisQueued() | e.AnalysisStarted() | e.AnalysisFailed() | e.AnalysisAbandoned():
            return _job_moved(state, event)
        case _:
            assert_never(event)


def _profile(event: e.TrackUploaded) -> Profile:
    return Profile(**msgspec.structs.asdict(event))


def _described(profile: Profile, event: e.TrackDescribed) -> Profile:
    return msgspec.structs.replace(
        profile,
        title=profile.title if event.title is None else event.title,
        artist=profile.artist if event.artist is None else event.artist or None,
        tags=profile.tags if event.tags is None else event.tags,
    )


def _job_moved(state: Live, event: _JobMove) -> Live:
    match event:
        case e.AnalysisQueued():
            job = Job(event.job_id, event.number, event.preset, event.bpm_hint, event.engine, event.priority)
        case e.AnalysisStarted():
            job = msgspec.structs.replace(state.job, status="running", attempt=event.attempt)
        case e.AnalysisFailed():
            job = msgspec.structs.replace(state.job, status="retrying")
        case e.AnalysisAbandoned():
            status = "cancelled" if event.reason == "cancelled" else "dead"
            job = msgspec.structs.replace(state.job, status=status)
        case _:
            assert_never(event)
    return _with_job(state, job)


def _with_job(state: Live, job: Job) -> Live:
    if isinstance(state, Ready):
        return msgspec.structs.replace(state, job=job)
    match job.status:
        case "queued" | "retrying":
            return Queued(state.profile, job)
        case "running" | "completed":
            return Analysing(state.profile, job)
        case "cancelled" | "dead":
            return Failed(state.profile, job)
        case _:
            assert_never(job.status)


def _version_made(state: Live, event: _Version) -> Live:
    made = Version(event.version, event.beats_ms, event.downbeats_ms, event.artefacts)
    match event, state:
        case e.AnalysisCompleted(), _:
            return _analysed(state, made)
        case e.BeatOverrideApplied(), Ready():
            current = msgspec.structs.replace(made, overridden=True)
            return msgspec.structs.replace(state, latest=made.number, current=current)
        case e.BeatOverrideReverted(), Ready():
            return msgspec.structs.replace(state, latest=made.number, current=made)
        case e.ReferenceGiven(), Ready():
            current = msgspec.structs.replace(made, overridden=state.current.overridden)
            reference = Reference(event.kind, event.sha256, event.reference_ms)
            return msgspec.structs.replace(state, latest=made.number, current=current, reference=reference)
        case ((e.BeatOverrideApplied() | e.BeatOverrideReverted() | e.ReferenceGiven()), _):
            return state  # only a ready track is corrected


def _analysed(state: Live, made: Version) -> Ready:
    job = msgspec.structs.replace(state.job, status="completed")
    if not isinstance(state, Ready):
        return Ready(state.profile, job, made.number, made, made)
    # A re-analysis never displaces a human's correction: it gets its number and waits for a revert.
    current = state.current if state.current.overridden else made
    return msgspec.structs.replace(state, job=job, latest=made.number, machine=made, current=current)
