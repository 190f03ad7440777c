"""Append-only for real: what the serving role may do to the log is what append_events() does, and to read."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from adapters.postgres.access import Access
from tests.servers.postgres import TestServer


@pytest.fixture(scope="module")
def filled(postgres: TestServer) -> Iterator[Access]:
    """One database for all of them: whatever is refused leaves it as it was."""
    with postgres.database() as database:
        with psycopg.connect(database.owner) as owner:
            owner.execute(
                "INSERT INTO stored_events (originator_id, originator_version, notification_id, topic, state)"
                " VALUES (gen_random_uuid(), 1, 1, 'x', '{}')"
            )
            owner.execute("INSERT INTO command_keys VALUES (gen_random_uuid(), 1, 1, now(), 200, '', '{}')")
        yield database


@pytest.fixture
def serving(filled: Access) -> Iterator[psycopg.Connection]:
    with psycopg.connect(filled.serving, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("table", ["stored_events", "command_keys"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} SELECT * FROM {}",
        "UPDATE {} SET recorded_at = now()",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "DROP TABLE {} CASCADE",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} DISABLE TRIGGER append_only",
        "DROP TRIGGER append_only ON {}",
        "ALTER TABLE {} OWNER TO beatledger_app",
        "MERGE INTO {} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "SELECT * FROM {} FOR UPDATE",
        "COPY {} FROM PROGRAM 'true'",
    ],
)
def test_the_serving_role_can_not(serving: psycopg.Connection, table: str, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        serving.execute(sql.SQL(statement.replace("{}", "{0}")).format(sql.Identifier(table)))
    assert serving.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone() == (
        1,
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "SET ROLE beatledger_owner",
        "SET ROLE postgres",
        "CREATE TABLE public.mine (n int)",
        "CREATE TEMP TABLE mine (n int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE VIEW ledger AS SELECT 1",
        "DROP FUNCTION append_events",
        "ALTER FUNCTION append_events SECURITY INVOKER",
        "DELETE FROM ledger",
    ],
)
def test_the_serving_role_can_not_get_around_it(serving: psycopg.Connection, statement: str) -> None:
    refusals = (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)
    with pytest.raises(refusals):
        serving.execute(statement.encode())
    assert serving.execute("SELECT count(*) FROM stored_events").fetchone() == (1,)


def test_the_append_function_is_not_led_astray_by_the_callers_search_path(filled: Access) -> None:
    """The serving role may make no objects to lead it with; for whoever may, the function's path is fixed."""
    with psycopg.connect(filled.superuser) as caller:
        caller.execute("CREATE TEMP TABLE stored_events (notification_id bigint, recorded_at timestamptz)")
        caller.execute("INSERT INTO pg_temp.stored_events VALUES (1000, now())")
        caller.execute("SET search_path = pg_temp, public")
        answer = caller.execute("SELECT base FROM public.append_events('{}', '{}', '{}', false)")
        assert answer.fetchone() == (1,)


def test_appending_in_a_transaction_that_can_not_see_the_present_is_refused(
    serving: psycopg.Connection,
) -> None:
    """Under repeatable read the positions would be computed from before the lock."""
    serving.execute("SET default_transaction_isolation = 'repeatable read'")
    with pytest.raises(errors.InvalidTransactionState):
        serving.execute("SELECT append_events('{}', '{}', '{}', false)")


@pytest.mark.parametrize("role", ["owner", "superuser"])
@pytest.mark.parametrize("table", ["stored_events", "command_keys"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET recorded_at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_even_those_who_could_are_stopped_by_the_trigger(
    filled: Access, role: str, table: str, statement: str
) -> None:
    with psycopg.connect(getattr(filled, role), autocommit=True) as connection:
        if role == "superuser":
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            connection.execute(sql.SQL(statement).format(sql.Identifier(table)))
