"""A database gets its schema once, whoever asks; and the serving role gets what was granted, no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.access import Access
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.migrate import MigrationRefused, migrate
from adapters.postgres.roles import create_roles
from tests.servers.postgres import TestServer

HOUSE = Path(__file__).parents[2]
MIGRATE = """
import sys
from pathlib import Path
from adapters.postgres.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
print(*migrate(sys.argv[1], ["CREATE INDEX IF NOT EXISTS by_n ON things (n)"], Path(sys.argv[2])))
"""


@pytest.fixture
def empty(postgres: TestServer) -> Iterator[Access]:
    """A bootstrapped database without any migration."""
    with postgres.empty_database() as access:
        yield access


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Two migrations, in a folder of the test's own."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_things.sql").write_text("CREATE TABLE things (n int);\nINSERT INTO things VALUES (1);\n")
    (folder / "0002_grant.sql").write_text("GRANT SELECT ON things TO beatledger_app;\n")
    return folder


def rows(conninfo: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(question.encode()).fetchall()


def test_migrations_are_applied_in_order_and_once(empty: Access, migrations: Path) -> None:
    assert migrate(empty.owner, folder=migrations) == ("0001_things", "0002_grant")
    assert migrate(empty.owner, folder=migrations) == ()
    assert rows(empty.serving, "SELECT n FROM things") == [(1,)]


def test_a_new_migration_is_applied_to_a_database_that_has_the_old_ones(
    empty: Access, migrations: Path
) -> None:
    migrate(empty.owner, folder=migrations)
    (migrations / "0003_more.sql").write_text("INSERT INTO things VALUES (2);")
    assert migrate(empty.owner, folder=migrations) == ("0003_more",)
    assert rows(empty.serving, "SELECT n FROM things") == [(1,), (2,)]


def test_four_processes_that_migrate_at_once_apply_each_migration_once(
    empty: Access, migrations: Path
) -> None:
    words = [sys.executable, "-c", MIGRATE, empty.owner, str(migrations)]
    running = [
        subprocess.Popen(words, cwd=HOUSE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(said) == [[], [], [], ["0001_things", "0002_grant"]]
    assert rows(empty.serving, "SELECT n FROM things") == [(1,)]


def test_a_migration_changed_after_it_was_applied_is_refused(empty: Access, migrations: Path) -> None:
    migrate(empty.owner, folder=migrations)
    (migrations / "0001_things.sql").write_text("CREATE TABLE things (n bigint);")
    (migrations / "0003_more.sql").write_text("INSERT INTO things VALUES (2);")
    with pytest.raises(MigrationRefused, match="0001_things was changed after it was applied"):
        migrate(empty.owner, folder=migrations)
    assert rows(empty.serving, "SELECT n FROM things") == [(1,)]


def test_a_database_of_a_newer_release_is_refused(empty: Access, migrations: Path) -> None:
    migrate(empty.owner, folder=migrations)
    (migrations / "0002_grant.sql").unlink()
    with pytest.raises(MigrationRefused, match=r"a newer beatledger migrated this database \(0002_grant\)"):
        migrate(empty.owner, folder=migrations)


def test_a_migration_that_fails_leaves_nothing_and_can_be_mended(empty: Access, migrations: Path) -> None:
    broken = migrations / "0003_more.sql"
    broken.write_text("INSERT INTO things VALUES (2); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty.owner, folder=migrations)
    assert rows(empty.serving, "SELECT n FROM things") == [(1,)]
    broken.write_text("INSERT INTO things VALUES (3);")
    assert migrate(empty.owner, folder=migrations) == ("0003_more",)
    assert rows(empty.serving, "SELECT n FROM things") == [(1,), (3,)]


def test_two_migrations_of_one_number_are_refused(empty: Access, migrations: Path) -> None:
    (migrations / "0002_other.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationRefused, match="same number"):
        migrate(empty.owner, folder=migrations)


def test_extra_statements_run_every_time_after_the_migrations(empty: Access, migrations: Path) -> None:
    index = "CREATE INDEX IF NOT EXISTS by_n ON things (n) WHERE n % 2 = 0"
    for _ in range(2):
        migrate(empty.owner, [index], migrations)
    assert rows(empty.owner, "SELECT indexname FROM pg_indexes WHERE tablename = 'things'") == [("by_n",)]


def test_our_own_migrations_are_applied_by_a_fresh_run(empty: Access) -> None:
    applied = migrate(empty.owner)
    assert applied[0] == "0001_event_store"
    assert migrate(empty.owner) == ()


def test_neither_role_has_power_over_the_server(database: Access) -> None:
    powers = "rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    roles = rows(
        database.superuser,
        f"SELECT rolname, {powers} FROM pg_roles WHERE rolname LIKE 'beatledger%' ORDER BY 1",
    )
    assert roles == [("beatledger_app", False), ("beatledger_owner", False)]


def test_the_serving_role_owns_nothing_and_belongs_to_no_role(database: Access) -> None:
    owned = """
        SELECT relname::text FROM pg_class WHERE relowner = 'beatledger_app'::regrole
        UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'beatledger_app'::regrole
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspowner = 'beatledger_app'::regrole
        UNION ALL SELECT datname FROM pg_database WHERE datdba = 'beatledger_app'::regrole
        UNION ALL SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'beatledger_app'::regrole
    """
    assert rows(database.superuser, owned) == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "DELETE FROM schema_migrations",
        "SET ROLE beatledger_owner",
        "SET session_replication_role = replica",
        "COPY schema_migrations TO PROGRAM 'cat'",
    ],
)
def test_the_serving_role_is_refused(database: Access, statement: str) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(database.serving) as connection,
    ):
        connection.execute(statement.encode())


def test_a_function_is_for_the_serving_role_only_when_it_was_granted(empty: Access, migrations: Path) -> None:
    one = "CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1;"
    (migrations / "0003_one.sql").write_text(one)
    migrate(empty.owner, folder=migrations)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(empty.serving, "SELECT one()")
    (migrations / "0004_grant.sql").write_text("GRANT EXECUTE ON FUNCTION one() TO beatledger_app;")
    migrate(empty.owner, folder=migrations)
    assert rows(empty.serving, "SELECT one()") == [(1,)]


def test_bootstrap_again_changes_nothing_that_is_there(empty: Access, migrations: Path) -> None:
    migrate(empty.owner, folder=migrations)
    create_roles(empty)
    assert rows(empty.serving, "SELECT n FROM things") == [(1,)]


@pytest.mark.parametrize("lacks", ["dbname", "password"])
def test_roles_without_a_password_or_a_database_are_refused_in_a_sentence(empty: Access, lacks: str) -> None:
    owner = {name: part for name, part in conninfo_to_dict(empty.owner).items() if name != lacks}
    with pytest.raises(CannotStart, match=lacks):
        create_roles(replace(empty, owner=make_conninfo(**owner)))


def test_the_superusers_url_may_leave_the_password_to_libpq(
    empty: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    superuser = conninfo_to_dict(empty.superuser)
    monkeypatch.setenv("PGPASSWORD", str(superuser.pop("password")))
    create_roles(replace(empty, superuser=make_conninfo(**superuser)))
