"""The whole product as its users meet it: a process, a socket, a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.synth import synthesise
from tests.servers.beatledger import Beatledger, Served
from tests.servers.installation import Installation, OwnInstallation, environment, own_installation
from tests.servers.mongo import MongoServer
from tests.servers.postgres import TestServer
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def song() -> bytes:
    """Twenty seconds of rock at 100 BPM, as WAV."""
    return synthesise("rock", 100.0, 20.0, seed=3).wav()


@pytest.fixture(scope="session")
def long_song() -> bytes:
    """Four minutes, at a rate that keeps it small: time enough to be killed in."""
    return synthesise("edm", 128.0, 240.0, seed=3, sample_rate=22_050).wav()


@pytest.fixture(scope="module")
def embedded_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beatledger]:
    """A running `up` that a module's tests share; don't kill it."""
    with_up = Beatledger(tmp_path_factory.mktemp("up") / "data")
    with_up.start()
    yield with_up
    with_up.stop()


@pytest.fixture(scope="session")
def distributed_up(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: TestServer,
    kafka: str,
    mongo: MongoServer,
    s3: S3Server,
) -> Iterator[Installation]:
    """A running distributed installation that all share; don't kill it."""
    with postgres.database() as access, mongo.database() as mongo_url:
        path = tmp_path_factory.mktemp("distributed")
        installation = Installation(environment(path, access, kafka, mongo_url, s3))
        try:
            installation.migrate()
            installation.start_all()
            yield installation
        finally:
            codes = installation.stop_all()
        assert set(codes) == {0}


@pytest.fixture(scope="module")
def shared_own(migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnInstallation]:
    with own_installation(migrated_folder, tmp_path_factory.mktemp("own")) as installation:
        yield installation


@pytest.fixture
def own(shared_own: OwnInstallation) -> OwnInstallation:
    """A module's own distributed installation, to be killed at will, whole again after the test before."""
    shared_own.restore()
    return shared_own


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("distributed", marks=pytest.mark.xdist_group("distributed"))],
)
def up(request: pytest.FixtureRequest) -> Served:
    """A running installation of either profile that is shared; don't kill it."""
    return request.getfixturevalue(f"{request.param}_up")


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Beatledger]:
    """A running `up` of the test's own, to be killed at will."""
    own = Beatledger(tmp_path / "data")
    own.start()
    yield own
    own.stop()
