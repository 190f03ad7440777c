"""People's names for the account ids that events carry: looked up for each answer, kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from api.security.guard import Accounts

_USER = "user:"


async def names_of(accounts: Accounts, actors: Iterable[str]) -> dict[str, str]:
    """Return actor to name, for those people whose names are known and not erased. Raises Unavailable."""
    people = {actor: UUID(actor.removeprefix(_USER)) for actor in set(actors) if actor.startswith(_USER)}
    if not people:
        return {}
    names = await accounts.names(people.values())
    return {actor: names[account] for actor, account in people.items() if account in names}
