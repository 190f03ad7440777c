"""What can be asked of a track. Ids and times arrive with the command; nothing here looks at a clock.

Commands that make a version carry `made`, which the pipeline fills in after loading and before deciding:
the rendered map's number, hashes and figures. It is no part of the request, so not of its fingerprint.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from pydantic import AfterValidator, Field

from domain.command import Command, Line, OptionalLine, Role, Sha256, Tag
from domain.track.edits import Beats, Edit
from domain.track.events import Artefact, Engine, Metrics, Preset

PRODUCERS: frozenset[Role] = frozenset({"producer", "admin"})
WORKERS: frozenset[Role] = frozenset({"service"})


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


Tags = Annotated[tuple[Tag, ...], Field(max_length=10)]
Priority = Annotated[int, Field(ge=0, le=10)]
BpmHint = Annotated[float, Field(ge=20, le=400, allow_inf_nan=False)]
Note = Annotated[str, Field(max_length=2000), AfterValidator(_storable)]


class Made(msgspec.Struct, frozen=True):
    """A version as it was rendered and stored, ready to be recorded."""

    version: int
    metrics: Metrics
    artefacts: dict[str, Artefact]
    map_sha256: str
    warnings: tuple[str, ...]
    firmware_min_version: str


MadeField = Annotated[Made | None, Field(exclude=True)]


class OnTrack(Command):
    """A command on one track's stream."""

    track_id: UUID


class ProducerCommand(OnTrack):
    """A track command for people who make music."""

    roles: ClassVar[frozenset[Role]] = PRODUCERS


class WorkerCommand(OnTrack):
    """A track command of the analysis workers."""

    roles: ClassVar[frozenset[Role]] = WORKERS


class UploadTrack(ProducerCommand):
    """Accept a recording whose audio is in the artefact store and proved to decode."""

    title: Line
    artist: Line | None = None
    tags: Tags = ()
    preset: Preset = "auto"
    filename: str
    media_type: str
    audio_sha256: Sha256
    audio_bytes: int
    duration_ms: float
    priority: Priority = 5
    bpm_hint: BpmHint | None = None
    engine: Engine = "beatledger"


class DescribeTrack(ProducerCommand):
    """Change title, artist or tags; what is left out stays, an empty artist is removed."""

    title: Line | None = None
    artist: OptionalLine | None = None
    tags: Tags | None = None


class RequestAnalysis(ProducerCommand):
    """Analyse again; what is left out is as in the job before."""

    preset: Preset | None = None
    bpm_hint: BpmHint | None = None
    engine: Engine | None = None
    priority: Priority | None = None


class RequeueAnalysis(ProducerCommand):
    """Give a dead or cancelled job another life, as a new job with the same settings."""

    job_id: UUID


class CancelAnalysis(ProducerCommand):
    """End a job that has not ended."""

    job_id: UUID


class StartAnalysis(WorkerCommand):
    """Begin an attempt."""

    job_id: UUID
    attempt: int
    worker: str


class CompleteAnalysis(WorkerCommand):
    """Hand in an attempt's result."""

    job_id: UUID
    attempt: int
    engine: str
    settings: dict[str, Any]
    beats_ms: Beats
    downbeats_ms: Beats
    took_ms: float
    made: MadeField = None


class FailAnalysis(WorkerCommand):
    """Report that an attempt failed; codes `undecodable` and `too_long` are final, others are retried."""

    job_id: UUID
    attempt: int
    code: str
    detail: Annotated[str, Field(max_length=2000)]
    failed_at: datetime


class ApplyBeatOverride(ProducerCommand):
    """Correct the current grid by hand."""

    edit: Edit
    note: Note | None = None
    made: MadeField = None


class RevertBeatOverride(ProducerCommand):
    """Take the human correction back."""

    made: MadeField = None


class UploadReference(ProducerCommand):
    """Give reference beats to score this track's grid against."""

    kind: str
    sha256: Sha256
    reference_ms: Beats
    made: MadeField = None


class ArchiveTrack(ProducerCommand):
    """Take the track out of the lists."""

    reason: Note | None = None


ManageTrack = DescribeTrack | RequestAnalysis | RequeueAnalysis | CancelAnalysis | ArchiveTrack
WorkOnTrack = StartAnalysis | CompleteAnalysis | FailAnalysis
CorrectTrack = ApplyBeatOverride | RevertBeatOverride | UploadReference
TrackCommand = UploadTrack | ManageTrack | WorkOnTrack | CorrectTrack
"""Every command on a track: a new one that `decide` does not match fails the type check."""
