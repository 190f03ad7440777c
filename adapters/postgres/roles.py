"""Creates the two roles and the database that beatledger needs; no other code runs as superuser.

The owner role owns every object, and only migrations use it. The serving role owns nothing and has only the
privileges that migrations grant, so a hole in a serving process can't rewrite the log.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.access import OWNER, SERVING, Access
from adapters.postgres.cannot_start import CannotStart

_BOOTSTRAP_LOCK = 0x6265_6174_0001
_NO_POWER = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


def create_roles(access: Access) -> None:
    """Create the roles with the passwords of `access`, and its database owned by the owner role, if missing.

    Safe to run at every start, and by several processes at once. Raises CannotStart, psycopg.Error.
    """
    database, superuser = _part("dbname", access.owner), make_conninfo(access.superuser, dbname="postgres")
    passwords = {OWNER: _part("password", access.owner), SERVING: _part("password", access.serving)}
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_BOOTSTRAP_LOCK])
        for role, password in passwords.items():
            _make_role(connection, role, password)
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
            )
        limit_database(connection, database)
    with psycopg.connect(access.owner, autocommit=True) as connection:
        _close_defaults(connection)


def limit_database(connection: psycopg.Connection[Any], database: str) -> None:
    """Let only the two roles connect to a database. A database copied from a template needs this again."""
    name, serving = sql.Identifier(database), sql.Identifier(SERVING)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, serving))


def _make_role(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    # Hashed here, so that no statement contains the password and no log or monitor can show it.
    scram = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{} ROLE {} {} PASSWORD {}").format(
            sql.SQL("ALTER" if exists else "CREATE"),
            sql.Identifier(role),
            sql.SQL(_NO_POWER),
            sql.Literal(scram),
        )
    )


def _close_defaults(connection: psycopg.Connection[Any]) -> None:
    """Revoke the privileges that Postgres grants to everybody: migrations grant by name, functions too."""
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(SERVING)))
    connection.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")


def _part(name: str, conninfo: str) -> str:
    # The superuser's may come from anywhere: of the others this is where they are decided.
    part = conninfo_to_dict(conninfo).get(name)
    if not part:
        raise CannotStart(f"to make Postgres's roles and database, both roles' URLs must name the {name}")
    return str(part)
