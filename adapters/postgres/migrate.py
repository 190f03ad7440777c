"""Brings a database to this code's schema: applies each file of migrations/ once, in order.

`beatledger migrate`, `up` before it serves, and tests run it as the owner role; a serving process never
does (concurrent DDL at start-up failed 15 of 32 times in a trial). An applied file never changes: write a
new one. Each file grants the serving role the privileges it needs, including EXECUTE on functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from adapters.postgres.access import SERVING
from adapters.postgres.cannot_start import CannotStart

_FOLDER = Path(__file__).parent / "migrations"
_MIGRATE_LOCK = 0x6265_6174_0002
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


class MigrationRefused(CannotStart):
    """The migrations on disk contradict those applied to the database."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL statements, applied in one transaction."""

    name: str
    statements: bytes

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.statements).hexdigest()


def migrate(
    owner_conninfo: str, extra_statements: Iterable[str] = (), folder: Path = _FOLDER
) -> tuple[str, ...]:
    """Apply the migrations that the database lacks, then `extra_statements` (repeatable DDL: view indexes).

    Returns the names applied now. Concurrent runs wait for each other.
    Raises MigrationRefused, psycopg.Error.
    """
    migrations = _read(folder)
    with psycopg.connect(owner_conninfo, autocommit=True) as connection:
        # A lock of the session, released also when this process dies.
        connection.execute("SELECT pg_advisory_lock(%s)", [_MIGRATE_LOCK])
        applied = _applied(connection)
        _check(migrations, applied)
        missing = [migration for migration in migrations if migration.name not in applied]
        for migration in missing:
            _apply(connection, migration)
        for statement in extra_statements:
            connection.execute(statement.encode())
    return tuple(migration.name for migration in missing)


def known_migrations() -> frozenset[str]:
    """Return the names of the migrations in this code."""
    return frozenset(migration.name for migration in _read(_FOLDER))


def _read(folder: Path) -> list[Migration]:
    files = sorted(folder.glob("*.sql"))
    if wrong := [file.name for file in files if not _NAME.fullmatch(file.name)]:
        raise MigrationRefused(f"migrations are named NNNN_name.sql, unlike {', '.join(wrong)}")
    numbers = [file.name[:4] for file in files]
    if len(set(numbers)) < len(numbers):
        raise MigrationRefused(
            f"two migrations have the same number: {', '.join(file.name for file in files)}"
        )
    return [Migration(file.stem, file.read_bytes()) for file in files]


def _applied(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the checksum of each applied migration, by name."""
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name text PRIMARY KEY,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )
    connection.execute(f"GRANT SELECT ON schema_migrations TO {SERVING}".encode())
    return dict(connection.execute("SELECT name, checksum FROM schema_migrations").fetchall())


def _check(migrations: list[Migration], applied: dict[str, str]) -> None:
    known = {migration.name: migration.checksum for migration in migrations}
    if unknown := sorted(applied.keys() - known.keys()):
        raise MigrationRefused(
            f"a newer beatledger migrated this database ({', '.join(unknown)}): use that version"
        )
    if changed := [name for name, checksum in sorted(applied.items()) if known[name] != checksum]:
        raise MigrationRefused(
            f"{', '.join(changed)} was changed after it was applied: restore it and write a new migration"
        )


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    with connection.transaction():
        connection.execute(migration.statements)
        connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
            [migration.name, migration.checksum],
        )
