"""The track's rules: what each command does to a track in each state, as events."""

from __future__ import annotations

from typing import Any, assert_never, get_args

from domain import ids
from domain.decider import Decider
from domain.errors import NotFound, Rejected
from domain.registry import Event
from domain.track import analyses
from domain.track import commands as c
from domain.track import events as e
from domain.track.edits import Grid, check_beats, edited
from domain.track.state import FOLD_VERSION, INITIAL, Absent, Archived, Live, Ready, Track, evolve


def decide(state: Track, command: c.TrackCommand) -> tuple[Event, ...]:
    """Return what the command makes happen; nothing when it changes nothing.

    Raises NotFound, Rejected (a rule forbids it now) or Invalid (its content is wrong for this track).
    """
    match command, state:
        case c.UploadTrack(), Absent():
            return _upload(command)
        case c.UploadTrack(), _:
            raise Rejected("track_exists", f"track {command.track_id} exists already")
        case _, Absent():
            raise NotFound(f"there is no track {command.track_id}")
        case _, Archived():
            raise _archived()
        case ((c.StartAnalysis() | c.CompleteAnalysis() | c.FailAnalysis()), _):
            return _work(state, command)
        case ((c.ApplyBeatOverride() | c.RevertBeatOverride() | c.UploadReference()), _):
            return _correct(ready(state), command)
        case _, _:
            return _manage(state, command)


def ready(state: Track) -> Ready:
    """Return the state if the track has a version. Raises NotFound or Rejected otherwise."""
    if isinstance(state, Absent):
        raise NotFound("there is no such track")
    if isinstance(state, Archived):
        raise _archived()
    if not isinstance(state, Ready):
        raise Rejected("no_version", "the track has no version yet: wait for its first analysis")
    return state


def _archived() -> Rejected:
    return Rejected("track_archived", "the track is archived: its history can be read, not changed")


def override_grid(state: Ready, command: c.ApplyBeatOverride) -> Grid:
    """Return the grid an override yields. Raises Invalid."""
    grid = Grid(state.current.beats_ms, state.current.downbeats_ms)
    return edited(grid, command.edit, state.profile.duration_ms)


def _upload(command: c.UploadTrack) -> tuple[Event, ...]:
    uploaded = e.TrackUploaded(
        track_id=command.track_id,
        title=command.title,
        artist=command.artist,
        tags=tuple(dict.fromkeys(command.tags)),
        preset=command.preset,
        filename=command.filename,
        media_type=command.media_type,
        audio_sha256=command.audio_sha256,
        audio_bytes=command.audio_bytes,
        duration_ms=command.duration_ms,
    )
    queued = e.AnalysisQueued(
        job_id=ids.job_id(command.track_id, 1),
        number=1,
        preset=command.preset,
        bpm_hint=command.bpm_hint,
        engine=command.engine,
        priority=command.priority,
        reason="upload",
    )
    return uploaded, queued


def _manage(state: Live, command: c.ManageTrack) -> tuple[Event, ...]:
    match command:
        case c.DescribeTrack():
            return _describe(state, command)
        case c.RequestAnalysis():
            return (analyses.requested(state, command),)
        case c.RequeueAnalysis():
            job = analyses.the_job(state, command.job_id)
            return (analyses.requeued(state, job),)
        case c.CancelAnalysis():
            job = analyses.the_job(state, command.job_id)
            if not job.active:
                raise Rejected("job_ended", f"the job has ended: {job.status}")
            return (e.AnalysisAbandoned(job.job_id, "cancelled", "cancelled on request"),)
        case c.ArchiveTrack():
            archived = e.TrackArchived(command.reason)
            if state.job.active:
                return e.AnalysisAbandoned(state.job.job_id, "cancelled", "the track was archived"), archived
            return (archived,)
        case _:
            assert_never(command)


def _describe(state: Live, command: c.DescribeTrack) -> tuple[Event, ...]:
    now = state.profile
    title = None if command.title == now.title else command.title
    artist = None if command.artist == (now.artist or "") else command.artist
    tags = None if command.tags is None else tuple(dict.fromkeys(command.tags))
    tags = None if tags == now.tags else tags
    if title is None and artist is None and tags is None:
        return ()
    return (e.TrackDescribed(title, artist, tags),)


def _work(state: Live, command: c.WorkOnTrack) -> tuple[Event, ...]:
    job = analyses.the_job(state, command.job_id)
    match command:
        case c.StartAnalysis():
            if job.status not in ("queued", "retrying") or command.attempt != job.attempt + 1:
                raise analyses.stale_attempt(job, command.attempt)
            return (e.AnalysisStarted(job.job_id, command.attempt, command.worker),)
        case c.CompleteAnalysis():
            analyses.check_attempt(job, command.attempt)
            return (_completed(state, command),)
        case c.FailAnalysis():
            analyses.check_attempt(job, command.attempt)
            return (analyses.failed(job, command),)
        case _:
            assert_never(command)


def _completed(state: Live, command: c.CompleteAnalysis) -> e.AnalysisCompleted:
    made = _made(command.made, state.latest if isinstance(state, Ready) else 0)
    return e.AnalysisCompleted(
        **_fields(made),
        beats_ms=command.beats_ms,
        downbeats_ms=command.downbeats_ms,
        job_id=command.job_id,
        attempt=command.attempt,
        engine=command.engine,
        settings=command.settings,
        took_ms=command.took_ms,
    )


def _correct(state: Ready, command: c.CorrectTrack) -> tuple[Event, ...]:
    current = state.current
    match command:
        case c.ApplyBeatOverride():
            grid = override_grid(state, command)
            same = _fields(_made(command.made, state.latest), grid)
            edit = command.edit.model_dump(mode="json", exclude={"beats_ms", "downbeats_ms"})
            return (e.BeatOverrideApplied(**same, base_version=current.number, edit=edit, note=command.note),)
        case c.RevertBeatOverride():
            if not current.overridden:
                raise Rejected("no_override", "the track has no correction to revert")
            grid = Grid(state.machine.beats_ms, state.machine.downbeats_ms)
            same = _fields(_made(command.made, state.latest), grid)
            return (e.BeatOverrideReverted(**same, restores=state.machine.number),)
        case c.UploadReference():
            check_beats(command.reference_ms, state.profile.duration_ms, "reference_ms")
            grid = Grid(current.beats_ms, current.downbeats_ms)
            same = _fields(_made(command.made, state.latest), grid)
            return (
                e.ReferenceGiven(
                    **same, kind=command.kind, sha256=command.sha256, reference_ms=command.reference_ms
                ),
            )
        case _:
            assert_never(command)


def _made(made: c.Made | None, latest: int) -> c.Made:
    # A programming error, not a caller's: the pipeline prepares every command that makes a version.
    if made is None or made.version != latest + 1:
        raise ValueError(f"not prepared for version {latest + 1}: {made and made.version}")
    return made


def _fields(made: c.Made, grid: Grid | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(made, name) for name in made.__struct_fields__}
    if grid is not None:
        fields |= {"beats_ms": grid.beats_ms, "downbeats_ms": grid.downbeats_ms}
    return fields


TRACK: Decider[Track] = Decider(
    category="track",
    initial=INITIAL,
    evolve=evolve,
    decide=decide,
    state=Track,
    fold_version=FOLD_VERSION,
    topic="track",
    folds=e.TrackEvent,
    events=e.TRACK_EVENTS,
    commands=get_args(c.TrackCommand),
)
