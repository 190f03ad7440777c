"""Real Postgres servers for the tests: ours, or the superuser's URL in BEATLEDGER_TEST_DATABASE_URL."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.access import OWNER, SERVING, Access
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.migrate import migrate
from adapters.postgres.roles import bootstrap, limit_database
from adapters.postgres.server import EmbeddedPostgres


class TestServer:
    """A server with a migrated template, from which each test gets its own database within milliseconds."""

    __test__ = False

    def __init__(self, template: Access) -> None:
        self._template = template
        bootstrap(template)
        migrate(template.owner)

    def _superuser(self) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self._template.superuser, dbname="postgres"), autocommit=True)

    @contextmanager
    def database(self) -> Generator[Access]:
        """Give a fresh, migrated database and drop it afterwards, whoever is still connected."""
        name = f"test_{uuid.uuid4().hex}"
        template = str(conninfo_to_dict(self._template.superuser)["dbname"])
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
                )
            )
            limit_database(connection, name)
        try:
            yield with_database(self._template, name)
        finally:
            self._drop(name)

    def close(self) -> None:
        """Drop the template: a server that is not ours keeps nothing of a run."""
        self._drop(str(conninfo_to_dict(self._template.superuser)["dbname"]))

    def _drop(self, name: str) -> None:
        with self._superuser() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def with_database(access: Access, name: str) -> Access:
    """Return the same access to another database of the server."""
    return Access(*(make_conninfo(c, dbname=name) for c in (access.superuser, access.owner, access.serving)))


@contextmanager
def running_test_server() -> Generator[TestServer]:
    """Give the server of the session: the one named by the environment, or an embedded one of its own."""
    template = f"template_{uuid.uuid4().hex}"
    if url := os.environ.get("BEATLEDGER_TEST_DATABASE_URL"):
        with contextlib.closing(TestServer(_external_access(url, template))) as server:
            yield server
        return
    with tempfile.TemporaryDirectory(prefix="beatledger-test-") as path, embedded(Path(path)) as postgres:
        yield TestServer(postgres.access(template))


def _external_access(url: str, database: str) -> Access:
    superuser = make_conninfo(url, dbname=database)
    roles = (make_conninfo(superuser, user=role, password="of-a-test") for role in (OWNER, SERVING))
    return Access(superuser, *roles)


@contextmanager
def embedded(path: Path) -> Generator[EmbeddedPostgres]:
    """Give a started EmbeddedPostgres in the folder, and stop it."""
    folder = DataFolder(path)
    with folder.hold():
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


class OwnPostgres:
    """A private server, migrated, for a test that kills, pauses or restarts it."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        access = postgres.access()
        bootstrap(access)
        migrate(access.owner)
        self.superuser, self.owner, self.serving = access.superuser, access.owner, access.serving
        self._paused: list[int] = []

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL; its backends notice and go."""
        pid = self.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while self.postgres.pid == pid:
            time.sleep(0.002)

    def start(self) -> None:
        """Start it (again); every connection string stays the same."""
        self.postgres.start()

    def stop(self) -> None:
        """Stop it in good order."""
        self.resume()
        self.postgres.stop()

    def pause(self) -> None:
        """SIGSTOP the postmaster and all its processes: connections stay open, nothing answers any more."""
        pid = self.postgres.pid
        assert pid is not None
        self._paused.append(pid)
        os.kill(pid, signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGSTOP)
            self._paused.append(child)

    def resume(self) -> None:
        """SIGCONT whatever was paused."""
        for pid in self._paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._paused.clear()


@contextmanager
def own_server(path: Path) -> Generator[OwnPostgres]:
    """Give a private server in the folder, ended whatever the test did to it."""
    with embedded(path) as postgres:
        own = OwnPostgres(postgres)
        try:
            yield own
        finally:
            own.resume()
