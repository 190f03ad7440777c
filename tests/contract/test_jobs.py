"""What every JobQueue promises, held against Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres.access import Access
from adapters.postgres.jobs import PostgresJobQueue
from adapters.postgres.pool import Pool, make_pool
from analysis.result import AnalysisSettings
from commands.analysis.ports import (
    ClaimedJob,
    JobStanding,
    JobView,
    QueuedJob,
)
from domain.track.state import JobStatus

pytestmark = pytest.mark.anyio

MINUTE = 60_000.0
_SECOND = timedelta(seconds=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def pool(database: Access) -> AsyncIterator[Pool]:
    pool = make_pool(database.serving, max_size=20)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def queue(pool: Pool) -> PostgresJobQueue:
    return PostgresJobQueue(pool, lease_s=30)


def job(
    priority: int = 5, age_s: float = 0, duration_ms: float = MINUTE, track: UUID | None = None
) -> QueuedJob:
    return QueuedJob(
        job_id=uuid4(),
        track_id=track or uuid4(),
        number=1,
        priority=priority,
        audio_sha256="a" * 64,
        settings=AnalysisSettings("jazz", 120.5, "aubio"),
        duration_ms=duration_ms,
        queued_at=LONG_AGO - timedelta(seconds=age_s),
        revision=2,
        event_id=uuid4(),
        correlation_id=uuid4(),
        traceparent="00-1-2-01",
    )


def standing(of: QueuedJob, status: JobStatus, revision: int, took_ms: float | None = None) -> JobStanding:
    return JobStanding(of.job_id, revision, LONG_AGO + timedelta(seconds=revision), status, took_ms=took_ms)


async def the(queue: PostgresJobQueue, of: QueuedJob) -> JobView:
    view = await queue.get(of.job_id)
    assert view is not None
    return view


async def claimed(queue: PostgresJobQueue, worker: str = "w1") -> ClaimedJob:
    taken = await queue.claim(worker)
    assert taken is not None
    return taken


async def test_a_claim_gives_everything_that_was_queued(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    taken = await claimed(queue)
    assert taken.job == queued
    assert (taken.attempt, taken.worker, taken.started) == (1, "w1", False)
    assert await queue.claim("w2") is None


async def test_enqueueing_again_changes_nothing(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    await claimed(queue)
    await queue.enqueue(replace(queued, priority=9))
    view = await the(queue, queued)
    assert (view.status, view.priority, len(await queue.list())) == ("running", 5, 1)


async def test_many_claimers_at_once_never_get_the_same_job(queue: PostgresJobQueue) -> None:
    jobs = [job() for _ in range(60)]
    await asyncio.gather(*map(queue.enqueue, jobs))

    async def take_all(worker: str) -> list[UUID]:
        taken: list[UUID] = []
        while claim := await queue.claim(worker):
            taken.append(claim.job.job_id)
        return taken

    hands = await asyncio.gather(*(take_all(f"w{n}") for n in range(12)))
    taken = [job_id for hand in hands for job_id in hand]
    assert sorted(taken) == sorted(j.job_id for j in jobs)


async def test_the_higher_priority_goes_first_then_the_older(queue: PostgresJobQueue) -> None:
    newer, older, urgent = job(5, age_s=10), job(5, age_s=20), job(9)
    for queued in (newer, older, urgent):
        await queue.enqueue(queued)
    order = [(await claimed(queue)).job.job_id for _ in range(3)]
    assert order == [urgent.job_id, older.job_id, newer.job_id]


async def test_a_retry_waits_for_its_time_and_counts_the_attempt(
    queue: PostgresJobQueue, database: Access
) -> None:
    queued = job()
    await queue.enqueue(queued)
    await claimed(queue)
    at = datetime.now(UTC) - timedelta(minutes=1)
    later = at + timedelta(hours=1)
    failed = JobStanding(queued.job_id, 4, at, "retrying", 1, 3600.0, None, "crashed", "signal 11")
    await queue.record(failed)
    assert await queue.claim("w1") is None
    view = await the(queue, queued)
    assert (view.status, view.attempt, view.run_after) == ("retrying", 1, later)
    assert (view.error_code, view.error_detail) == ("crashed", "signal 11")
    _make_due(database, queued)
    assert (await claimed(queue)).attempt == 2


async def test_a_heartbeat_notes_the_progress_and_keeps_the_lease(pool: Pool) -> None:
    queue = PostgresJobQueue(pool, lease_s=1.5)
    queued = job()
    await queue.enqueue(queued)
    taken = await claimed(queue)
    for percent in (10.0, 20.0, 30.0, 40.0):
        await asyncio.sleep(0.5)
        assert await queue.heartbeat(taken, "tempo", percent)
        assert await queue.expired() == []
    view = await the(queue, queued)
    assert (view.stage, view.percent) == ("tempo", 40.0)


async def test_a_lease_without_heartbeats_runs_out(pool: Pool) -> None:
    queue = PostgresJobQueue(pool, lease_s=1.0)
    await queue.enqueue(job())
    taken = await claimed(queue)
    assert await queue.expired() == []
    async with asyncio.timeout(10):
        while not (expired := await queue.expired()):
            await asyncio.sleep(0.05)
    assert expired == [taken]
    assert await queue.claim("w2") is None, "the stream hears of the loss before anybody takes the job"


async def test_leases_ended_by_hand_have_run_out_at_once(queue: PostgresJobQueue) -> None:
    """What waits is not touched, and a lease taken afterwards holds."""
    for queued in (job(9), job(8), job(1)):
        await queue.enqueue(queued)
    lost = [await claimed(queue), await claimed(queue)]
    assert await queue.expired() == []
    await queue.expire_leases()
    assert {gone.job for gone in await queue.expired()} == {held.job for held in lost}
    after = await claimed(queue, "w2")
    assert after.job not in {held.job for held in lost}
    assert after.job not in {gone.job for gone in await queue.expired()}


async def test_a_heartbeat_after_the_loss_is_refused(queue: PostgresJobQueue, database: Access) -> None:
    queued = job()
    await queue.enqueue(queued)
    first = await claimed(queue, "w1")
    await queue.record(replace(standing(queued, "retrying", 4), attempt=1, delay_s=0.0))
    assert not await queue.heartbeat(first, "beats", 50)
    second = await claimed(queue, "w1")
    assert not await queue.heartbeat(first, "beats", 60), "the same worker's older attempt"
    assert await queue.heartbeat(second, "beats", 5)
    assert (await the(queue, queued)).percent == 5


async def test_a_released_job_keeps_its_place_and_its_attempt(queue: PostgresJobQueue) -> None:
    first, second = job(age_s=10), job()
    await queue.enqueue(first)
    await queue.enqueue(second)
    taken = await claimed(queue)
    await queue.release(taken, started=True)
    again = await claimed(queue, "w2")
    assert (again.job.job_id, again.attempt, again.started) == (first.job_id, 1, True)
    await queue.release(again, started=False)
    assert (await claimed(queue, "w3")).attempt == 1


async def test_an_attempt_after_a_resumed_one_is_a_new_one(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    await queue.release(await claimed(queue), started=True)
    await claimed(queue, "w2")
    await queue.record(replace(standing(queued, "retrying", 4), attempt=1, delay_s=0.0))
    third = await claimed(queue, "w3")
    assert (third.attempt, third.started) == (2, False)


async def test_only_the_holder_can_release(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    taken = await claimed(queue, "w1")
    await queue.release(replace(taken, worker="w2"), started=True)
    assert (await the(queue, queued)).status == "running"
    await queue.record(standing(queued, "cancelled", 4))
    await queue.release(taken, started=True)
    assert (await the(queue, queued)).status == "cancelled"


async def test_an_older_event_never_undoes_a_later_one(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    await queue.record(standing(queued, "completed", 6))
    await queue.record(replace(standing(queued, "retrying", 4), attempt=1, delay_s=0.0))
    await queue.record(standing(queued, "dead", 6))
    assert (await the(queue, queued)).status == "completed"
    assert await queue.claim("w1") is None


async def test_a_refused_claim_goes_back_to_where_the_stream_stands(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    taken = await claimed(queue)
    truth = replace(standing(queued, "queued", 2), attempt=0, delay_s=0.0)
    await queue.record(truth, instead_of=replace(taken, worker="w2"))
    assert (await the(queue, queued)).status == "running", "another worker's refusal is not ours"
    await queue.record(truth, instead_of=taken)
    assert ((await the(queue, queued)).status, (await claimed(queue)).attempt) == ("queued", 1)


async def test_finished_jobs_tell_how_they_ended(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    dead = replace(standing(queued, "dead", 9), error_code="exhausted", error_detail="crashed: signal 11")
    await claimed(queue)
    await queue.record(dead)
    (view,) = await queue.list(("dead",))
    assert (view.job_id, view.error_code, view.error_detail) == (
        queued.job_id,
        "exhausted",
        "crashed: signal 11",
    )
    assert (view.attempt, view.queue_position, view.estimated_seconds) == (1, None, None)
    assert await queue.list(("completed", "cancelled")) == []


async def test_the_list_shows_running_then_waiting_then_the_latest_finished(queue: PostgresJobQueue) -> None:
    track = uuid4()
    old, new, running, delayed, low, high = (job(n, track=track) for n in (5, 5, 10, 9, 1, 2))
    for queued in (running, old, new, delayed, low, high, job()):
        await queue.enqueue(queued)
    await claimed(queue)
    now = datetime.now(UTC)
    await queue.record(replace(standing(delayed, "retrying", 4), attempt=1, at=now, delay_s=86_400.0))
    await queue.record(standing(old, "completed", 5))
    await queue.record(standing(new, "cancelled", 6))
    views = await queue.list(track_id=track)
    assert [v.job_id for v in views] == [j.job_id for j in (running, high, low, delayed, new, old)]
    # The job of another track stands before ours, so ours are second and third.
    assert [v.queue_position for v in views] == [None, 2, 3, 4, None, None]
    assert [v.job_id for v in await queue.list(track_id=track, limit=2)] == [running.job_id, high.job_id]
    assert (await the(queue, low)).queue_position == 3
    assert await queue.get(uuid4()) is None


async def test_nothing_is_estimated_before_the_first_result(queue: PostgresJobQueue) -> None:
    queued = job()
    await queue.enqueue(queued)
    await claimed(queue)
    await queue.enqueue(waiting := job())
    assert (await the(queue, queued)).estimated_seconds is None
    assert (await the(queue, waiting)).estimated_seconds is None


async def test_estimates_share_what_is_ahead_among_those_who_run(queue: PostgresJobQueue) -> None:
    """At 1 s of work per minute of audio, two run, each half done: 1 s is ahead of the first in line."""
    await queue.enqueue(done := job(duration_ms=2 * MINUTE))
    await queue.record(standing(done, "completed", 5, took_ms=2_000))
    running = [job(9) for _ in range(2)]
    waiting = [job(5, age_s=9, duration_ms=2 * MINUTE), job(4)]
    for queued in (*running, *waiting):
        await queue.enqueue(queued)
    for _ in running:
        assert await queue.heartbeat(await claimed(queue), "beats", 50)
    assert [v.estimated_seconds for v in await queue.list(("running",))] == pytest.approx([0.5, 0.5])
    assert [v.estimated_seconds for v in await queue.list(("queued",))] == pytest.approx([0.5 + 2, 1.5 + 1])


async def test_a_delayed_retry_is_estimated_from_its_time(queue: PostgresJobQueue) -> None:
    await queue.enqueue(done := job())
    await queue.record(standing(done, "completed", 5, took_ms=1_000))
    await queue.enqueue(delayed := job())
    now = datetime.now(UTC)
    await queue.record(replace(standing(delayed, "retrying", 4), attempt=1, at=now, delay_s=100.0))
    assert (await the(queue, delayed)).estimated_seconds == pytest.approx(101, abs=5)


async def test_nothing_is_estimated_when_nobody_takes_the_first_in_line(queue: PostgresJobQueue) -> None:
    await queue.enqueue(done := job())
    await queue.record(standing(done, "completed", 5, took_ms=1_000))
    await queue.enqueue(fresh := replace(job(), queued_at=datetime.now(UTC)))
    assert (await the(queue, fresh)).estimated_seconds == pytest.approx(1)
    await queue.enqueue(ignored := replace(job(), queued_at=datetime.now(UTC) - timedelta(seconds=11)))
    assert (await the(queue, ignored)).estimated_seconds is None


async def test_the_pace_is_that_of_the_latest_results(queue: PostgresJobQueue) -> None:
    for revision in range(5, 30):
        await queue.enqueue(done := job())
        await queue.record(standing(done, "completed", revision, took_ms=90_000 if revision < 10 else 3_000))
    await queue.enqueue(fresh := replace(job(), queued_at=datetime.now(UTC)))
    assert (await the(queue, fresh)).estimated_seconds == pytest.approx(3)


async def test_a_job_queued_by_an_event_ahead_of_the_clock_runs_at_once(queue: PostgresJobQueue) -> None:
    ahead = replace(job(), queued_at=datetime.now(UTC) + timedelta(days=3))
    await queue.enqueue(ahead)
    assert (await claimed(queue)).job == ahead


async def test_a_retry_of_an_event_ahead_of_the_clock_keeps_its_delay(queue: PostgresJobQueue) -> None:
    await queue.enqueue(queued := job())
    now = datetime.now(UTC)
    ahead = now + timedelta(days=3)
    await queue.record(replace(standing(queued, "retrying", 4), attempt=1, at=ahead, delay_s=5.0))
    assert (await the(queue, queued)).run_after - now == pytest.approx(timedelta(seconds=5), abs=_SECOND)


async def test_rows_made_before_the_clock_stepped_back_count_their_delay_from_now(
    queue: PostgresJobQueue, database: Access
) -> None:
    """Also a lease: it ends a lease's length from now, neither at once nor in days."""
    held, waiting, delayed = job(9), job(), job()
    for queued in (held, waiting, delayed):
        await queue.enqueue(queued)
    await claimed(queue)
    now = datetime.now(UTC)
    await queue.record(replace(standing(delayed, "retrying", 4), attempt=1, at=now, delay_s=100.0))
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute(
            """
            UPDATE analysis_jobs SET run_after = run_after + interval '3 days',
                counts_from = now() + interval '3 days', lease_until = lease_until + interval '3 days'
            """
        )
        connection.execute(
            "UPDATE analysis_jobs SET run_after = counts_from WHERE job_id = %s", [waiting.job_id]
        )
    await queue.claim("w1")
    assert (await claimed(queue)).job.job_id == waiting.job_id
    assert (await the(queue, delayed)).run_after - now == pytest.approx(
        timedelta(seconds=100), abs=_SECOND * 5
    )
    assert await queue.expired() == []
    with psycopg.connect(database.owner, autocommit=True) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM lease_until - now()) FROM analysis_jobs WHERE job_id = %s",
            [held.job_id],
        ).fetchone()
    assert row is not None
    assert float(row[0]) == pytest.approx(queue.lease_s, abs=5)


def _make_due(database: Access, queued: QueuedJob) -> None:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("UPDATE analysis_jobs SET run_after = now() WHERE job_id = %s", [queued.job_id])
