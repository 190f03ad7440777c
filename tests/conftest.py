"""Fixtures every suite shares; the servers behind them live in tests/servers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.postgres.access import Access
from tests.servers.kafka import Broker, own_broker, shared_broker
from tests.servers.mongo import MongoServer, OwnMongo, own_mongo_server, running_mongo
from tests.servers.postgres import (
    OwnPostgres,
    TestServer,
    make_migrated_folder,
    own_server,
    running_test_server,
)
from tests.servers.s3 import S3Server, running_s3

# Settings of the shell that runs the tests would be those of the products they start.
for _name in [name for name in os.environ if name.startswith("BEATLEDGER_") and "_TEST_" not in name]:
    del os.environ[_name]

# A run in the background of a script ignores Ctrl-C, and so would the products it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep in one of pytest-xdist's workers what shares a whole installation: each takes seconds to start."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        if path.parts[0] == "e2e" and not item.get_closest_marker("xdist_group"):
            place = path.parent if path.parent.name == "rest" else path
            profile = "distributed" if "[distributed" in item.name else "embedded"
            item.add_marker(pytest.mark.xdist_group(f"{place} {profile}"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The session's Postgres: don't kill it, take `own_postgres` for that."""
    with running_test_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(postgres: TestServer) -> Iterator[Access]:
    """A fresh, migrated database: `.serving`, `.owner` and `.superuser` are connection strings to it."""
    with postgres.database() as access:
        yield access


@pytest.fixture(scope="session")
def migrated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated, stopped Postgres: what `own_postgres` copies."""
    path = tmp_path_factory.mktemp("migrated")
    make_migrated_folder(path)
    return path


@pytest.fixture
def own_postgres(migrated_folder: Path, tmp_path: Path) -> Iterator[OwnPostgres]:
    """A private, migrated Postgres that the test may kill, pause, stop and start."""
    with own_server(migrated_folder, tmp_path / "data") as server:
        yield server


@pytest.fixture(scope="session")
def mongo() -> Iterator[MongoServer]:
    """The session's MongoDB: don't kill it, take `own_mongo` for that."""
    with running_mongo() as server:
        yield server


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[OwnMongo]:
    """A private MongoDB that the test may kill, pause, stop and start."""
    with own_mongo_server(tmp_path) as server:
        yield server


@pytest.fixture
def mongo_url(mongo: MongoServer) -> Iterator[str]:
    """The URL of a MongoDB database of the test's own."""
    with mongo.database() as url:
        yield url


@pytest.fixture(params=["postgres", "mongo"])
def documents_in(request: pytest.FixtureRequest) -> str | None:
    """Where the documents are kept: None = in Postgres, else the URL of a MongoDB database."""
    return request.getfixturevalue("mongo_url") if request.param == "mongo" else None


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The session's S3 server, its keys in the environment: don't kill it."""
    with pytest.MonkeyPatch.context() as patch, running_s3(tmp_path_factory.mktemp("s3")) as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bootstrap address of the run's Kafka, shared by all workers: use topics of your own."""
    worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    return shared_broker(base.parent if worker else base, os.getppid() if worker else os.getpid())


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Broker]:
    """A private Kafka that the test may kill, pause, empty and start."""
    with own_broker(tmp_path / "kafka") as broker:
        yield broker
