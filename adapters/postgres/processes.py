"""The ports of process managers on Postgres, the same in both profiles."""

from __future__ import annotations

from adapters.postgres.deadlines import PostgresDeadlines
from adapters.postgres.key_histories import PostgresKeyHistories
from adapters.postgres.parked_keys import PostgresParkedKeys
from adapters.postgres.pool import Pool
from commands.process_ports import ProcessPorts


def process_ports(pool: Pool) -> ProcessPorts:
    """Return the ports over this pool of the serving role."""
    return ProcessPorts(PostgresParkedKeys(pool), PostgresDeadlines(pool), PostgresKeyHistories(pool))
