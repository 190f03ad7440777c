"""The roles of a beatledger database, and a connection string for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import make_conninfo

from adapters.postgres.data_folder import DataFolder

SUPERUSER = "postgres"
OWNER = "beatledger_owner"
SERVING = "beatledger_app"
DATABASE = "beatledger"


@dataclass(frozen=True, slots=True)
class Access:
    """libpq connection strings to one database, one for each role.

    Serving processes use `serving`; migrations use `owner`; `superuser` creates roles and databases. They
    hold passwords, so a repr shows none of them.
    """

    superuser: str = field(repr=False)
    owner: str = field(repr=False)
    serving: str = field(repr=False)


def access_through(socket_folder: Path, folder: DataFolder, database: str) -> Access:
    """Return the connection strings to a database of the server whose socket is in `socket_folder`."""

    def to(role: str, secret: str) -> str:
        return make_conninfo(
            host=str(socket_folder), port=5432, dbname=database, user=role, password=folder.secret(secret)
        )

    return Access(
        to(SUPERUSER, "postgres.superuser"), to(OWNER, "postgres.owner"), to(SERVING, "postgres.serving")
    )
