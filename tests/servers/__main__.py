"""`make servers`: the servers of the distributed profile on loopback, for use by hand, until Ctrl-C.

    python -m tests.servers [FOLDER]

Prints the variables that lead to them, and writes them to FOLDER/environment for a shell to `source`. With
the same folder it goes on with the same data, on other ports; without one, everything is gone at the end.
MongoDB is the stand-in of the tests, or BEATLEDGER_TEST_MONGO_URL.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.postgres.data_folder import DataFolder
from app.settings import TOKEN_SECRET
from tests.servers.kafka import Broker, NoKafka
from tests.servers.mongo import database_url, own_mongo_server
from tests.servers.postgres import embedded
from tests.servers.s3 import running_s3

DATABASE = "beatledger"


@contextmanager
def servers(folder: Path) -> Generator[Mapping[str, str]]:
    """Give the variables of an installation over servers that keep their data in the folder."""
    secret = DataFolder(folder / "postgres").secret(TOKEN_SECRET)
    with (
        embedded(folder / "postgres") as postgres,
        running_s3(folder / "s3") as s3,
        _kafka(folder / "kafka") as kafka,
        _mongo_url(folder / "mongo") as mongo_url,
    ):
        access = postgres.access()
        yield {
            "BEATLEDGER_PROFILE": "distributed",
            "BEATLEDGER_DATA_DIR": str(folder / "scratch"),
            "BEATLEDGER_DATABASE_URL": access.serving,
            "BEATLEDGER_DATABASE_OWNER_URL": access.owner,
            "BEATLEDGER_DATABASE_ADMIN_URL": access.superuser,
            "BEATLEDGER_KAFKA_BOOTSTRAP": kafka,
            "BEATLEDGER_KAFKA_PARTITIONS": "4",
            "BEATLEDGER_KAFKA_REPLICAS": "1",
            "BEATLEDGER_MONGO_URL": mongo_url,
            "BEATLEDGER_ARTEFACTS_URL": s3.url,
            "BEATLEDGER_SECRET": secret,
            **s3.environment,
        }


@contextmanager
def _kafka(folder: Path) -> Generator[str]:
    broker = Broker(folder)
    broker.start()
    try:
        yield broker.bootstrap
    finally:
        broker.kill()


@contextmanager
def _mongo_url(folder: Path) -> Generator[str]:
    if url := os.environ.get("BEATLEDGER_TEST_MONGO_URL"):
        yield database_url(url, DATABASE)
        return
    folder.mkdir(exist_ok=True)
    with own_mongo_server(folder) as own:
        yield database_url(own.url, DATABASE)


@contextmanager
def _kept_in(given: str | None) -> Generator[Path]:
    if given is not None:
        folder = Path(given).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="beatledger-servers-") as temporary:
        yield Path(temporary)


def main(given: str | None = None) -> None:
    """Run the servers until SIGINT or SIGTERM."""
    ends = {signal.SIGINT, signal.SIGTERM}
    with _kept_in(given) as folder, servers(folder) as environment:
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in environment.items())
        file = folder / "environment"
        file.touch(mode=0o600)
        file.write_text(exports)
        sys.stdout.write(f"{exports}\n# in another shell: source {file}\n# Ctrl-C ends the servers\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (NoKafka, pytest.skip.Exception) as missing:  # what tests skip without; here it is all there is
        sys.exit(str(missing))
    except KeyboardInterrupt:
        sys.exit(130)
