"""The queue of analyses in Postgres: which worker may run which job, and until when.

Leases use the database's clock, so workers whose clocks disagree still agree on which worker is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import dict_row

from adapters.postgres import job_views
from adapters.postgres.clock_steps import with_delays_from_now
from adapters.postgres.pool import Pool, connection
from analysis.result import AnalysisSettings
from commands.analysis.ports import (
    ClaimedJob,
    JobStanding,
    JobView,
    QueuedJob,
)
from domain.track.state import JobStatus

LEASE_S = 15.0
"""The time for which a worker may be silent. A killed worker delays its job by this and the first backoff."""

_COUNT_FROM_NOW = with_delays_from_now(
    "analysis_jobs", due="run_after", waiting="status IN ('queued', 'retrying')"
)
_CLAIM: LiteralString = """
    UPDATE analysis_jobs SET status = 'running',
        attempt = CASE WHEN resumes THEN attempt ELSE attempt + 1 END,
        worker = %(worker)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
        stage = NULL, percent = 0
    WHERE job_id = (
        SELECT job_id FROM analysis_jobs
        WHERE status IN ('queued', 'retrying') AND run_after <= now()
        ORDER BY priority DESC, run_after, event_id
        LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
"""


class PostgresJobQueue:
    """commands.ports.JobQueue on the table analysis_jobs."""

    def __init__(self, pool: Pool, lease_s: float = LEASE_S) -> None:
        self._pool = pool
        self.lease_s = lease_s

    async def enqueue(self, job: QueuedJob) -> None:
        """Add a job once; an existing job stays as it is."""
        await self._execute(
            """
            INSERT INTO analysis_jobs (job_id, track_id, number, priority, audio_sha256, preset, bpm_hint,
                engine, duration_ms, queued_at, run_after, counts_from, revision,
                event_id, correlation_id, traceparent)
            VALUES (%(job_id)s, %(track_id)s, %(number)s, %(priority)s, %(audio_sha256)s, %(preset)s,
                %(bpm_hint)s, %(engine)s, %(duration_ms)s, %(queued_at)s, least(%(queued_at)s, now()),
                least(%(queued_at)s, now()), %(revision)s, %(event_id)s, %(correlation_id)s, %(traceparent)s)
            ON CONFLICT (job_id) DO NOTHING
            """,
            {**asdict(job), **asdict(job.settings)},
        )

    async def claim(self, worker: str) -> ClaimedJob | None:
        """Take the next runnable job (priority, then age), and skip those that other workers hold."""
        rows = await self._execute(
            _COUNT_FROM_NOW + _CLAIM,
            {"worker": worker, "lease_s": self.lease_s},
        )
        return _claimed(rows[0]) if rows else None

    async def heartbeat(self, claimed: ClaimedJob, stage: str | None, percent: float) -> bool:
        """Extend the lease and store the progress; False if the job no longer belongs to this worker."""
        # A lease that ran out is still valid while no other worker took the job: after an outage the work
        # continues.
        rows = await self._execute(
            """
            UPDATE analysis_jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
                stage = %(stage)s, percent = %(percent)s
            WHERE job_id = %(job_id)s AND status = 'running' AND worker = %(worker)s AND attempt = %(attempt)s
            RETURNING job_id
            """,
            {**_claim(claimed), "lease_s": self.lease_s, "stage": stage, "percent": percent},
        )
        return bool(rows)

    async def release(self, claimed: ClaimedJob, started: bool) -> None:
        """Release a job, so that the next worker takes it at once; a job of another worker is left alone."""
        await self._execute(
            """
            UPDATE analysis_jobs SET status = 'queued',
                attempt = CASE WHEN %(started)s THEN attempt ELSE attempt - 1 END,
                resumes = %(started)s, worker = NULL, lease_until = NULL, stage = NULL, percent = 0
            WHERE job_id = %(job_id)s AND status = 'running' AND worker = %(worker)s AND attempt = %(attempt)s
            """,
            {**_claim(claimed), "started": started},
        )

    async def expire_leases(self) -> None:
        """End every lease now; only for a process that knows that no other worker is alive."""
        await self._execute(
            """
            UPDATE analysis_jobs SET lease_until = clock_timestamp()
            WHERE status = 'running' AND lease_until > clock_timestamp()
            """
        )

    async def expired(self) -> list[ClaimedJob]:
        """Return the running jobs whose lease ran out: their worker is lost."""
        # No claim or heartbeat made a lease so long: the clock has stepped back since.
        await self._execute(
            """
            UPDATE analysis_jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
            WHERE status = 'running'
                AND lease_until > clock_timestamp() + make_interval(secs => %(lease_s)s + 1)
            """,
            {"lease_s": self.lease_s},
        )
        rows = await self._execute(
            "SELECT * FROM analysis_jobs WHERE status = 'running' AND lease_until < clock_timestamp()"
        )
        return [_claimed(row) for row in rows]

    async def record(self, standing: JobStanding, instead_of: ClaimedJob | None = None) -> None:
        """Set a job to its standing in the stream, unless its row reflects a later event."""
        await self._execute(
            """
            UPDATE analysis_jobs SET revision = %(revision)s, status = %(status)s,
                attempt = coalesce(%(attempt)s, attempt), resumes = false,
                run_after = coalesce(
                    least(%(at)s, now()) + make_interval(secs => %(delay_s)s::float8), run_after
                ),
                counts_from = CASE WHEN %(delay_s)s::float8 IS NULL
                    THEN counts_from ELSE least(%(at)s, now()) END,
                worker = %(worker)s,
                lease_until = CASE WHEN %(status)s = 'running'
                    THEN clock_timestamp() + make_interval(secs => %(lease_s)s) END,
                stage = NULL, percent = CASE WHEN %(status)s = 'completed' THEN 100 ELSE 0 END,
                error_code = %(error_code)s, error_detail = %(error_detail)s, took_ms = %(took_ms)s,
                finished_at = CASE WHEN %(status)s IN ('completed', 'cancelled', 'dead')
                    THEN %(at)s::timestamptz END
            WHERE job_id = %(job_id)s AND (revision < %(revision)s OR revision = %(revision)s
                AND status = 'running' AND worker = %(claimed_by)s AND attempt = %(claimed_attempt)s)
            """,
            {
                **asdict(standing),
                "lease_s": self.lease_s,
                "claimed_by": instead_of and instead_of.worker,
                "claimed_attempt": instead_of and instead_of.attempt,
            },
        )

    async def get(self, job_id: UUID) -> JobView | None:
        """Return one job."""
        views = await job_views.read(self._pool, job_id=job_id, limit=1)
        return views[0] if views else None

    async def list(
        self, statuses: tuple[JobStatus, ...] = (), track_id: UUID | None = None, limit: int = 100
    ) -> list[JobView]:
        """Return jobs: running ones, then waiting ones in their order, then finished ones, newest first."""
        return await job_views.read(self._pool, statuses=statuses, track_id=track_id, limit=limit)

    async def _execute(
        self, statement: str, values: dict[str, Any] | None = None
    ) -> Sequence[dict[str, Any]]:
        async with connection(self._pool) as link, link.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else ()


def _claim(claimed: ClaimedJob) -> dict[str, Any]:
    return {"job_id": claimed.job.job_id, "worker": claimed.worker, "attempt": claimed.attempt}


def _claimed(row: dict[str, Any]) -> ClaimedJob:
    settings = AnalysisSettings(preset=row["preset"], bpm_hint=row["bpm_hint"], engine=row["engine"])
    known = {field.name: row[field.name] for field in fields(QueuedJob) if field.name != "settings"}
    job = QueuedJob(**known, settings=settings)
    return ClaimedJob(job, row["attempt"], row["worker"], row["lease_until"], started=row["resumes"])
