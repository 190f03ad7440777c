"""Views of the queue for people: the position of each job, and an estimate of when its result is ready."""

from __future__ import annotations

from uuid import UUID

from psycopg.rows import class_row

from adapters.postgres.pool import Pool, connection
from commands.analysis.ports import (
    JobView,
)
from domain.track.state import JobStatus


async def read(
    pool: Pool,
    *,
    job_id: UUID | None = None,
    track_id: UUID | None = None,
    statuses: tuple[JobStatus, ...] = (),
    limit: int,
) -> list[JobView]:
    """Return the jobs that match all given filters: running, then waiting in order, then the latest finished.

    An estimate uses the pace of the last twenty results (working time per audio time) and divides the
    remaining audio among as many workers as run now. It is null before the first result, and also when the
    first job in the queue has waited for ten seconds while none runs, because then no worker may be there.
    """
    async with connection(pool) as link, link.cursor(row_factory=class_row(JobView)) as cursor:
        await cursor.execute(
            """
            WITH waiting AS (
                SELECT job_id, row_number() OVER line AS place,
                    sum(duration_ms) OVER line - duration_ms AS ms_ahead
                FROM analysis_jobs WHERE status IN ('queued', 'retrying')
                WINDOW line AS (ORDER BY run_after > now(), priority DESC, run_after, event_id
                    ROWS UNBOUNDED PRECEDING)
            ), running AS (
                SELECT count(*) AS jobs, coalesce(sum(duration_ms * (1 - percent / 100)), 0) AS ms_left
                FROM analysis_jobs WHERE status = 'running' AND lease_until > now()
            ), pace AS (
                SELECT CASE WHEN running.jobs > 0 OR NOT EXISTS (
                    SELECT FROM analysis_jobs
                    WHERE status IN ('queued', 'retrying') AND run_after < now() - interval '10 seconds'
                ) THEN (
                    SELECT sum(took_ms) / nullif(sum(duration_ms), 0) / 1000
                    FROM (
                        SELECT took_ms, duration_ms FROM analysis_jobs
                        WHERE status = 'completed' AND finished_at IS NOT NULL AND took_ms IS NOT NULL
                        ORDER BY finished_at DESC LIMIT 20
                    ) AS latest
                ) END AS s_per_ms
                FROM running
            )
            SELECT job_id, track_id, number, status, priority, attempt, stage, percent, queued_at, run_after,
                error_code, error_detail, waiting.place AS queue_position,
                CASE WHEN status = 'running' THEN duration_ms * (1 - percent / 100) * s_per_ms
                WHEN place IS NOT NULL THEN duration_ms * s_per_ms + greatest(
                    (ms_left + ms_ahead) / greatest(running.jobs, 1) * s_per_ms,
                    CASE WHEN s_per_ms IS NOT NULL THEN extract(epoch FROM run_after - now()) END
                ) END AS estimated_seconds
            FROM analysis_jobs LEFT JOIN waiting USING (job_id) CROSS JOIN running CROSS JOIN pace
            WHERE (%(job_id)s::uuid IS NULL OR job_id = %(job_id)s)
                AND (%(track_id)s::uuid IS NULL OR track_id = %(track_id)s)
                AND (%(statuses)s::text[] = '{}' OR status = ANY (%(statuses)s))
            ORDER BY status <> 'running', place NULLS LAST, finished_at DESC, job_id
            LIMIT %(limit)s
            """,
            {"job_id": job_id, "track_id": track_id, "statuses": list(statuses), "limit": limit},
        )
        return await cursor.fetchall()
