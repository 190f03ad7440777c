"""The embedded Postgres starts where people start it, survives what kills it, and opens nothing up."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.postgres.access import Access
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder, DataFolderInUse
from adapters.postgres.postmaster import running_postmaster
from adapters.postgres.running import running_or_own
from adapters.postgres.server import EmbeddedPostgres
from tests.servers.postgres import OwnPostgres, embedded

HOUSE = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path
from adapters.postgres.cannot_start import CannotStart
from tests.servers.postgres import embedded
try:
    with embedded(Path(sys.argv[1])) as postgres:
        print(postgres.pid, flush=True)
        sys.stdin.read()
except CannotStart as error:
    sys.exit(f"refused: {error}")
"""
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as mkdtemp makes it: 0700, of root when we are root."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@contextmanager
def serving_process(
    folder: Path, launcher: Sequence[str] = ()
) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Give another process that serves from the folder, and its postmaster's id."""
    process = subprocess.Popen(
        [*launcher, sys.executable, "-c", SERVE, str(folder)],
        cwd=HOUSE,
        env={**os.environ, "TMPDIR": str(folder)},  # what a kill leaves of the runtime folder goes with it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        said = process.stdout.readline()
        assert said, process.stderr.read()
        try:
            yield process, int(said)
        finally:
            process.kill()
            eventually(lambda: not lives(int(said)))


def eventually(holds: Callable[[], bool], within_s: float = 10) -> None:
    """Wait until it holds, at most so long."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Say whether a process runs: a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answer(postgres: EmbeddedPostgres) -> object:
    with psycopg.connect(postgres.access("postgres").superuser) as connection:
        row = connection.execute("SELECT 42").fetchone()
        return row and row[0]


def modes(path: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_mode, p.stat().st_uid) for p in (path, *path.parents)}


def test_it_starts_below_a_folder_of_mkdtemp_and_opens_no_parent(folder: Path) -> None:
    """As root this is a folder that Postgres' own user can't traverse."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    before = modes(data)
    with embedded(data) as postgres:
        assert answer(postgres) == 42
    assert modes(data) == before


@only_root
def test_as_root_it_runs_as_nobody_with_one_capability_where_a_folder_is_closed(folder: Path) -> None:
    with embedded(folder) as postgres:
        status = Path(f"/proc/{postgres.pid}/status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
    assert "\nCapEff:\t0000000000000004\n" in status  # CAP_DAC_READ_SEARCH
    assert "\nNoNewPrivs:\t1\n" in status


@only_root
def test_as_root_it_gets_no_capability_where_every_folder_is_open(folder: Path) -> None:
    folder.chmod(0o711)
    with embedded(folder) as postgres:
        status = Path(f"/proc/{postgres.pid}/status").read_text()
    assert "\nCapEff:\t0000000000000000\n" in status


@only_root
def test_the_capabilities_of_a_docker_container_are_enough(folder: Path) -> None:
    """Docker leaves its root CAP_DAC_OVERRIDE, but not CAP_DAC_READ_SEARCH."""
    kept = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap"
    with serving_process(folder, ["setpriv", f"--bounding-set={kept}"]) as (process, pid):
        assert lives(pid)
        process.kill()
        eventually(lambda: not lives(pid))


@only_root
def test_a_root_without_the_means_is_told_so(folder: Path) -> None:
    refused = subprocess.run(
        ["setpriv", "--bounding-set=-kill,-setuid", sys.executable, "-c", SERVE, str(folder)],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "lacks CAP_KILL, CAP_SETUID" in refused.stderr


@only_root
def test_another_user_than_root_runs_it_and_its_death_ends_it(folder: Path) -> None:
    """The parent-death signal works without a change of user too."""
    user = pwd.getpwnam("daemon")  # initdb wants a user with a name
    os.chown(folder, user.pw_uid, user.pw_gid)
    reads_our_python = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    daemon = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with serving_process(folder, [*daemon, *reads_our_python, "--"]) as (process, pid):
        assert f"\nUid:\t{user.pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()
        process.kill()
        eventually(lambda: not lives(pid))


def test_a_very_long_path_of_the_data_folder_works(folder: Path) -> None:
    """A socket's path may have 107 bytes, so the socket lies elsewhere."""
    with embedded(folder / ("d" * 120) / ("e" * 120)) as postgres:
        assert answer(postgres) == 42


def test_a_killed_postgres_comes_back_with_every_acknowledged_row(own_postgres: OwnPostgres) -> None:
    """What COMMIT has answered is there after kill -9 in mid-write; the connection strings stay good."""
    acknowledged = 0

    def write() -> None:
        nonlocal acknowledged
        with (
            pytest.raises(psycopg.OperationalError),
            psycopg.connect(own_postgres.owner, autocommit=True) as c,
        ):
            while True:
                c.execute("INSERT INTO kept VALUES (%s)", [acknowledged])
                acknowledged += 1

    with psycopg.connect(own_postgres.owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: acknowledged > 100)
    own_postgres.kill()
    writer.join(10)
    own_postgres.start()
    with psycopg.connect(own_postgres.owner) as connection:
        rows = [n for (n,) in connection.execute("SELECT n FROM kept ORDER BY n")]
    assert rows[:acknowledged] == list(range(acknowledged))


@pytest.mark.anyio
async def test_a_supervised_postgres_comes_back_by_itself(own_postgres: OwnPostgres) -> None:
    supervision = asyncio.create_task(own_postgres.postgres.supervise())
    for _ in range(2):
        own_postgres.kill()
        deadline = time.monotonic() + 10
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(own_postgres.serving) as connection:
                    await connection.execute("SELECT 1")
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "it stays down"
                await asyncio.sleep(0.02)
    supervision.cancel()


@contextmanager
def another_program(user: int) -> Generator[int]:
    """Give the process id of a program of this user that is neither Postgres nor its parent."""
    with subprocess.Popen(["sleep", "600"], user=user if os.geteuid() == 0 else None) as program:
        try:
            yield program.pid
        finally:
            program.kill()


def test_a_stale_pid_file_that_names_a_living_process_of_its_user_does_not_keep_it_down(folder: Path) -> None:
    """Process ids are used again, in a container at once; Postgres would take this one for a postmaster."""
    with embedded(folder) as postgres:
        pid_file = postgres.folder.postgres / "postmaster.pid"
        stale = pid_file.read_text()
    with another_program(pid_file.parent.stat().st_uid) as number:
        pid_file.write_text("\n".join([str(number), *stale.splitlines()[1:]]) + "\n")
        assert running_postmaster(postgres.folder.postgres) is None
        with embedded(folder) as again:
            assert answer(again) == 42
        assert lives(number)


def test_a_killed_postgres_comes_back_when_its_number_has_gone_to_another_program(
    own_postgres: OwnPostgres,
) -> None:
    """Also its socket has a lock file, which a restart in the same runtime folder finds."""
    cluster = own_postgres.postgres.folder.postgres
    socket_lock = postmaster_folder(cluster) / ".s.PGSQL.5432.lock"
    own_postgres.kill()
    with another_program(cluster.stat().st_uid) as number:
        for lock in (cluster / "postmaster.pid", socket_lock):
            lock.write_text("\n".join([str(number), *lock.read_text().splitlines()[1:]]) + "\n")
        own_postgres.start()
        assert answer(own_postgres.postgres) == 42


def postmaster_folder(cluster: Path) -> Path:
    found = running_postmaster(cluster)
    assert found is not None
    return found.socket_folder


@only_root
def test_a_data_folder_copied_by_root_starts(folder: Path) -> None:
    """`cp -r` gives every file to root, as which Postgres does not run."""
    with embedded(folder / "data"):
        pass
    subprocess.run(["cp", "-r", folder / "data", folder / "copy"], check=True)
    with embedded(folder / "copy") as copy:
        assert answer(copy) == 42


def test_kill_9_of_the_application_takes_postgres_down_and_the_next_start_works(folder: Path) -> None:
    with serving_process(folder) as (process, pid):
        process.kill()
        process.wait()
        with embedded(folder) as postgres:  # at once: the old server may still be stopping
            assert answer(postgres) == 42
            assert not lives(pid)


def test_a_start_waits_for_the_server_that_a_killed_application_left_stopping(folder: Path) -> None:
    with serving_process(folder) as (process, pid):
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        wakes = threading.Timer(1.0, os.kill, (pid, signal.SIGCONT))
        wakes.start()
        with embedded(folder) as postgres:
            assert answer(postgres) == 42
            assert not lives(pid)
        wakes.join()


def test_a_server_that_missed_the_death_of_its_owner_is_ended(folder: Path) -> None:
    """Its owner died before setpriv could ask for the signal."""
    with embedded(folder) as orphan:
        heir = EmbeddedPostgres(orphan.folder)
        heir.start()
        try:
            assert orphan.pid is None
            assert answer(heir) == 42
        finally:
            heir.stop()


def test_a_second_owner_of_the_data_folder_is_refused_and_told_by_whom(folder: Path) -> None:
    with serving_process(folder) as (process, pid):
        told = f"in use by process {process.pid}: stop it, or choose"
        with pytest.raises(DataFolderInUse, match=told), DataFolder(folder).hold():
            pass
        assert lives(pid)


def test_it_does_not_start_in_a_folder_it_does_not_hold(folder: Path) -> None:
    """It would take the server of another owner for an orphan, and end it."""
    with serving_process(folder) as (_, pid):
        with pytest.raises(CannotStart, match="hold the data folder"):
            EmbeddedPostgres(DataFolder(folder)).start()
        assert lives(pid)


def test_no_child_of_the_owner_keeps_the_data_folder_locked(folder: Path) -> None:
    with DataFolder(folder).hold():
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with DataFolder(folder).hold():
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_command_uses_the_running_server_and_starts_its_own_when_there_is_none(folder: Path) -> None:
    data = DataFolder(folder)
    with serving_process(folder) as (_, pid):
        with running_or_own(data) as access:
            assert postmaster_of(access) == pid
        assert lives(pid)
    with running_or_own(data) as access:
        own = postmaster_of(access)
        assert lives(own)
    assert not lives(own)


def postmaster_of(access: Access) -> int:
    superuser = make_conninfo(access.superuser, dbname="postgres")
    with psycopg.connect(superuser) as connection:
        row = connection.execute(
            "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
        ).fetchone()
    assert row is not None
    return row[0]


def test_a_broken_cluster_is_refused_with_what_postgres_says(folder: Path) -> None:
    with embedded(folder) as postgres:
        control = postgres.folder.postgres / "global" / "pg_control"
    control.unlink()
    with pytest.raises(CannotStart, match=r"(?s)did not start:.*pg_control"), embedded(folder):
        pass


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(CannotStart, match="can't be used: File exists"), embedded(tmp_path / "data"):
        pass


def test_a_start_that_was_killed_in_initdb_leaves_no_half_a_cluster(folder: Path) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    with embedded(folder) as postgres:
        assert answer(postgres) == 42
    assert not (folder / "postgres.new").exists()


def test_it_is_started_from_the_main_thread_only(folder: Path) -> None:
    """The kernel would end it with the thread that started it."""
    refused: list[Exception] = []

    def start() -> None:
        try:
            with embedded(folder):
                pass
        except CannotStart as error:
            refused.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(refused)


def test_it_listens_on_no_port_and_trusts_nobody(own_postgres: OwnPostgres) -> None:
    with psycopg.connect(own_postgres.superuser) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        rules = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert rules == [("scram-sha-256",)]
    impostor = make_conninfo(own_postgres.superuser, password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(impostor)


def test_secrets_are_made_once_and_readable_by_us_only(folder: Path) -> None:
    data = DataFolder(folder)
    key = data.secret("token.key")
    assert len(key) == 43
    assert DataFolder(folder).secret("token.key") == key
    assert data.secret("another") != key
    assert (data.secrets / "token.key").stat().st_mode & 0o777 == 0o600
    assert data.secrets.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in data.secrets.iterdir()) == ["another", "token.key"]
