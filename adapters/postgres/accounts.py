"""People's names by account id; no other table has them. Implements api.security.guard.Accounts."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from adapters.postgres.pool import Pool, connection


class PostgresAccounts:
    """The accounts table. Every method raises Unavailable if Postgres is unreachable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def remember(self, account_id: UUID, name: str) -> None:
        """Store the name of an account seen for the first time; a known or erased one stays as it is."""
        async with connection(self._pool) as link:
            await link.execute(
                "INSERT INTO accounts (account_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [account_id, name],
            )

    async def names(self, account_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of those accounts that are known and not erased."""
        async with connection(self._pool) as link:
            cursor = await link.execute(
                "SELECT account_id, name FROM accounts WHERE account_id = ANY (%s) AND name IS NOT NULL",
                [list(account_ids)],
            )
            return dict(await cursor.fetchall())

    async def erase(self, account_id: UUID) -> None:
        """Erase a name permanently; a token of that account does not restore it."""
        async with connection(self._pool) as link:
            await link.execute(
                "INSERT INTO accounts (account_id, name, erased_at) VALUES (%s, NULL, now())"
                " ON CONFLICT (account_id) DO UPDATE SET name = NULL, erased_at = now()",
                [account_id],
            )
