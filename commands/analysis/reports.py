"""Delivers workers' reports to the tracks as commands that name their attempt; repetitions are recorded
once.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID, uuid5

from commands.analysis.ports import (
    JobStanding,
    QueuedJob,
)
from commands.analysis.standing import standing_of
from commands.analysis.waiting import retry_while_unavailable
from commands.handler import Prepare
from commands.issue import Answer, Caller, Issue
from commands.pipeline import Pipeline
from domain.log import EventStore
from domain.track.commands import CompleteAnalysis, FailAnalysis, StartAnalysis

WORKER = Caller("service:analysis", frozenset({"service"}))

Report = TypeVar("Report", StartAnalysis, CompleteAnalysis, FailAnalysis)


def command_id(command: StartAnalysis | CompleteAnalysis | FailAnalysis) -> UUID:
    """Return the id of this command; a repetition of it has the same id.

    Two workers may both start an attempt, or see it fail in different ways: those are different commands, and
    the track decides between them.
    """
    match command:
        case StartAnalysis():
            difference = f":{command.worker}"
        case FailAnalysis():
            difference = f":{command.code}"
        case CompleteAnalysis():
            difference = ""
    return uuid5(command.job_id, f"{type(command).__name__}:{command.attempt}{difference}")


class Reports:
    """Executes the workers' commands on the tracks' streams; retries while the store is unavailable."""

    def __init__(self, pipeline: Pipeline, store: EventStore) -> None:
        self._pipeline = pipeline
        self._store = store

    async def deliver(
        self, job: QueuedJob, command: Report, prepare: Prepare[Any, Report] | None = None
    ) -> Answer:
        """Execute the command, caused by the event that queued the job.

        Raises Rejected, KeyReused, NotFound (the attempt is not the current one), Invalid, EventTooLarge.
        """
        issue = Issue(
            WORKER,
            command_id=command_id(command),
            correlation_id=job.correlation_id,
            causation_id=job.event_id,
            traceparent=job.traceparent,
        )
        return await retry_while_unavailable(lambda: self._pipeline.execute(command, issue, prepare))

    async def standing(self, job: QueuedJob) -> JobStanding:
        """Return the standing of the job according to its stream. Raises NotFound."""
        return await retry_while_unavailable(lambda: standing_of(self._store, job.track_id, job.job_id))
