"""jobs: what is queued, running or dead, and another life for the dead."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, get_args
from uuid import UUID

import typer

from app.cli.local import DataDir, settings_with, with_ports
from app.cli.tables import show
from commands.analysis.ports import (
    JobView,
)
from commands.issue import Caller, Issue
from domain.errors import NotFound
from domain.log_clock import LogClock
from domain.track.commands import RequeueAnalysis
from domain.track.state import JobStatus

if TYPE_CHECKING:
    from app.ports import Ports

cli = typer.Typer(help=__doc__, no_args_is_help=True)

StatusName = StrEnum("StatusName", get_args(JobStatus))
"""The statuses in the shape typer lists and checks."""

SHOWN = 1000

OPERATOR = Caller("service:cli", frozenset({"admin"}))


@cli.command("list")
def list_jobs(
    status: Annotated[list[StatusName] | None, typer.Option(help="Only these; may be repeated.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Show jobs: running first, then as they will run, then the finished."""
    wanted: tuple[JobStatus, ...] = tuple(known for known in get_args(JobStatus) if known in (status or ()))

    async def read(ports: Ports) -> tuple[list[JobView], LogClock]:
        return await ports.jobs.list(wanted, limit=SHOWN), await ports.events.clock()

    found, clock = with_ports(data_dir, read)
    if clock.behind_s:
        typer.echo(str(clock), err=True)
    show(
        ("job", "track", "status", "attempt", "progress", "error"),
        ((j.job_id, j.track_id, j.status, j.attempt, _progress(j), _error(j)) for j in found),
    )
    if len(found) == SHOWN:
        typer.echo(f"these are the first {SHOWN}: name a --status to see fewer", err=True)


@cli.command()
def requeue(job_id: UUID, data_dir: DataDir = None) -> None:
    """Give a dead or cancelled job another life, as a new job."""

    from app.bootstrap import assemble

    async def work(ports: Ports) -> str:
        job = await ports.jobs.get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id}")
        pipeline = assemble(settings_with(data_dir=data_dir), ports).pipeline
        answer = await pipeline.execute(
            RequeueAnalysis(track_id=job.track_id, job_id=job_id), Issue(OPERATOR)
        )
        return answer.body["job_id"]

    typer.echo(with_ports(data_dir, work))


def _progress(job: JobView) -> str:
    if job.queue_position is not None:
        return f"{job.queue_position}. in the queue"
    return f"{job.percent:.0f} % {job.stage or ''}"


def _error(job: JobView) -> str:
    return f"{job.error_code}: {job.error_detail or ''}" if job.error_code else ""
