"""The relay's progress, as any process can read it from Postgres."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.postgres.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class RelayStanding:
    """The relay's progress. `lag_s` is the age of the oldest event that is not in Kafka yet."""

    position: int
    lag_events: int
    lag_s: float


async def relay_standing(pool: Pool) -> RelayStanding:
    """Return the relay's progress, whichever process leads. Raises Unavailable."""
    async with connection(pool) as conn:
        cursor = await conn.execute(
            """
            SELECT r.position, coalesce((SELECT max(notification_id) FROM stored_events), 0) - r.position,
                coalesce(extract(epoch FROM clock_timestamp() - (
                    SELECT recorded_at FROM stored_events e WHERE e.notification_id = r.position + 1
                )), 0)::float8
            FROM kafka_relay r
            """
        )
        [(position, behind, seconds)] = await cursor.fetchall()
    return RelayStanding(position, max(behind, 0), max(seconds, 0.0))
