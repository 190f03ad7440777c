"""The whole product as its users meet it: a process, a socket, a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.synth import synthesise
from tests.servers.beatledger import Beatledger


@pytest.fixture(scope="session")
def song() -> bytes:
    """Twenty seconds of rock at 100 BPM, as WAV."""
    return synthesise("rock", 100.0, 20.0, seed=3).wav()


@pytest.fixture(scope="session")
def long_song() -> bytes:
    """Four minutes, at a rate that keeps it small: time enough to be killed in."""
    return synthesise("edm", 128.0, 240.0, seed=3, sample_rate=22_050).wav()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beatledger]:
    """A running `up` that a module's tests share; don't kill it."""
    with_up = Beatledger(tmp_path_factory.mktemp("up") / "data")
    with_up.start()
    yield with_up
    with_up.stop()


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Beatledger]:
    """A running `up` of the test's own, to be killed at will."""
    own = Beatledger(tmp_path / "data")
    own.start()
    yield own
    own.stop()
