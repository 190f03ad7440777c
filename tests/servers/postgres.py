"""Real Postgres servers for the tests: ours, or the superuser's URL in BEATLEDGER_TEST_DATABASE_URL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
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
from adapters.postgres.roles import create_roles, limit_database
from adapters.postgres.server import EmbeddedPostgres


class TestServer:
    """A server with a migrated template, from which each test gets its own database within milliseconds."""

    __test__ = False

    def __init__(self, template: Access) -> None:
        self._template = template
        create_roles(template)
        migrate(template.owner)

    @contextmanager
    def database(self) -> Generator[Access]:
        """Give a fresh, migrated database and drop it afterwards, whoever is still connected."""
        access = self._fresh()
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
            sql.Identifier(_database(access)),
            sql.Identifier(OWNER),
            sql.Identifier(_database(self._template)),
        )
        with self._superuser() as connection:
            connection.execute(create)
            limit_database(connection, _database(access))
        try:
            yield access
        finally:
            self._drop(access)

    @contextmanager
    def empty_database(self) -> Generator[Access]:
        """Give a fresh database that has its roles but no migration, and drop it afterwards."""
        access = self._fresh()
        create_roles(access)
        try:
            yield access
        finally:
            self._drop(access)

    def close(self) -> None:
        """Drop the template: a server that is not ours keeps nothing of a run."""
        self._drop(self._template)

    def _fresh(self) -> Access:
        name = f"test_{uuid.uuid4().hex}"
        template = self._template
        conninfos = (template.superuser, template.owner, template.serving)
        return Access(*(make_conninfo(conninfo, dbname=name) for conninfo in conninfos))

    def _superuser(self) -> psycopg.Connection:
        return psycopg.connect(make_conninfo(self._template.superuser, dbname="postgres"), autocommit=True)

    def _drop(self, access: Access) -> None:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_database(access)))
        with self._superuser() as connection:
            connection.execute(drop)


def _database(access: Access) -> str:
    return str(conninfo_to_dict(access.superuser)["dbname"])


@contextmanager
def running_test_server(path: Path) -> Generator[TestServer]:
    """Give the server of the session: the one named by the environment, or an embedded one in the folder."""
    template = f"template_{uuid.uuid4().hex}"
    if url := os.environ.get("BEATLEDGER_TEST_DATABASE_URL"):
        with contextlib.closing(TestServer(_external_access(url, template))) as server:
            yield server
        return
    with embedded(path) as postgres:
        yield TestServer(postgres.access(template))
    shutil.rmtree(path)


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


def make_migrated_folder(path: Path) -> None:
    """Make a data folder whose Postgres is migrated and stopped, to be copied by own_server()."""
    with embedded(path) as postgres:
        create_roles(postgres.access())
        migrate(postgres.access().owner)


@contextmanager
def own_server(migrated_folder: Path, path: Path) -> Generator[OwnPostgres]:
    """Give a private server in a copy of the folder, ended whatever the test did to it."""
    subprocess.run(["cp", "--archive", str(migrated_folder), str(path)], check=True)
    with embedded(path) as postgres:
        own = OwnPostgres(postgres)
        try:
            yield own
        finally:
            own.resume()
    shutil.rmtree(path)  # pytest would keep 40 MB of each test for three runs
