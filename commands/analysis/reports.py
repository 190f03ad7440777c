"""What workers tell a track about its job: commands that name their attempt, recorded once if sent twice."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID, uuid5

from commands.analysis.patience import until_there
from commands.analysis.standing import standing_of
from commands.handler import Prepare
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from commands.ports import JobStanding, QueuedJob
from domain.log import EventStore
from domain.track.commands import CompleteAnalysis, FailAnalysis, StartAnalysis

WORKER = Caller("service:analysis", frozenset({"service"}))

Report = TypeVar("Report", StartAnalysis, CompleteAnalysis, FailAnalysis)


def command_id(command: StartAnalysis | CompleteAnalysis | FailAnalysis) -> UUID:
    """Return the id that a repetition of this command has too.

    Two workers may each believe that an attempt is theirs to begin, and two may each see it fail in another
    way: those are different commands, and the track decides between them.
    """
    match command:
        case StartAnalysis():
            told = f":{command.worker}"
        case FailAnalysis():
            told = f":{command.code}"
        case CompleteAnalysis():
            told = ""
    return uuid5(command.job_id, f"{type(command).__name__}:{command.attempt}{told}")


class Reports:
    """The workers' way to the tracks' streams; waits while the store is away."""

    def __init__(self, pipeline: Pipeline, store: EventStore) -> None:
        self._pipeline = pipeline
        self._store = store

    async def tell(
        self, job: QueuedJob, command: Report, prepare: Prepare[Any, Report] | None = None
    ) -> Answer:
        """Record it, caused by the event that queued the job.

        Raises Rejected, KeyReused, NotFound (the attempt is not the current one), Invalid, EventTooLarge.
        """
        issue = Issue(
            WORKER,
            command_id=command_id(command),
            correlation_id=job.correlation_id,
            causation_id=job.event_id,
            traceparent=job.traceparent,
        )
        return await until_there(lambda: self._pipeline.execute(command, issue, prepare))

    async def standing(self, job: QueuedJob) -> JobStanding:
        """Return where the job's stream says it stands. Raises NotFound."""
        return await until_there(lambda: standing_of(self._store, job.track_id, job.job_id))
