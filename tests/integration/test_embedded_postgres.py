"""The embedded Postgres starts where people start it, survives what kills it, and opens nothing up."""

from __future__ import annotations

import psycopg

from adapters.postgres.access import Access
from tests.servers.postgres import OwnPostgres


def test_a_killed_postgres_comes_back_with_every_acknowledged_row(own_postgres: OwnPostgres) -> None:
    """What COMMIT has answered is there after kill -9, and the connection strings stay good."""
    with psycopg.connect(own_postgres.owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        for n in range(200):
            connection.execute("INSERT INTO kept VALUES (%s)", [n])
        own_postgres.kill()
    own_postgres.start()
    with psycopg.connect(own_postgres.owner) as connection:
        rows = connection.execute("SELECT n FROM kept ORDER BY n").fetchall()
    assert [n for (n,) in rows] == list(range(200))


def test_the_fixture_gives_an_own_database(database: Access) -> None:
    with psycopg.connect(database.serving) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("beatledger_app",)
