"""MongoDB for the tests: the server named in BEATLEDGER_TEST_MONGO_URL, else a wire-compatible stand-in.

Docker does not run everywhere, so the stand-in is mongo-java-server from Maven behind MongoStandIn.java.
It has no transactions, no replica set, no TTL monitor, and scans its collections: right answers, no timings.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

SOURCE = Path(__file__).with_name("MongoStandIn.java")
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>beatledger</groupId><artifactId>mongo-stand-in</artifactId><version>1</version>
<dependencies><dependency>
<groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server-h2-backend</artifactId><version>1.47.0</version>
</dependency></dependencies>
</project>
"""


class MongoServer:
    """A server in which each test has databases of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=10_000)

    @contextmanager
    def database(self) -> Generator[str]:
        """Give the URL of a new, empty database, and drop it afterwards."""
        name = f"test_{uuid.uuid4().hex}"
        try:
            yield database_url(self._url, name)
        finally:
            self._client.drop_database(name)

    def close(self) -> None:
        self._client.close()


class OwnMongo:
    """A private server that keeps its port and its files, for a test that kills, pauses or restarts it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "stand-in.mv"
        self._process, self._port = _start(0, self._file)
        self.url = f"mongodb://127.0.0.1:{self._port}/own"

    def start(self) -> None:
        """Start it (again), with what it has acknowledged before."""
        self._process, self._port = _start(self._port, self._file)

    def kill(self) -> None:
        """SIGKILL."""
        _kill(self._process)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers any more."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)


def database_url(url: str, name: str) -> str:
    """Return the URL with another database's name."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextmanager
def running_mongo() -> Generator[MongoServer]:
    """Give the server of the session: the one named by the environment, or a stand-in that keeps nothing."""
    if url := os.environ.get("BEATLEDGER_TEST_MONGO_URL"):
        with contextlib.closing(MongoServer(url)) as server:
            yield server
        return
    process, port = _start(0)
    try:
        with contextlib.closing(MongoServer(f"mongodb://127.0.0.1:{port}/")) as server:
            yield server
    finally:
        _kill(process)


@contextmanager
def own_mongo_server(folder: Path) -> Generator[OwnMongo]:
    """Give a private server that is running, and end it whatever the test did to it."""
    own = OwnMongo(folder)
    try:
        yield own
    finally:
        own.kill()


def _start(port: int, file: Path | None = None) -> tuple[subprocess.Popen[str], int]:
    """Start a stand-in and return it with its port once it accepts connections."""
    try:
        folder = _installed()
    except (OSError, subprocess.CalledProcessError) as error:
        missing = (
            f"no MongoDB here: neither BEATLEDGER_TEST_MONGO_URL nor Java and Maven for a stand-in ({error})"
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    command = [
        # The signal follows the thread that starts it: the main one, which lives as long as we do.
        *("setpriv", "--pdeathsig", "KILL"),
        *("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-cp", f"{folder}:{folder}/*", "MongoStandIn", str(port), *([str(file)] if file else [])),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    with process.stdout as stdout:
        line = stdout.readline()
    if not line:
        raise RuntimeError(f"the Mongo stand-in ended at its start: exit {process.wait()}")
    return process, int(line)


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def _installed() -> Path:
    """Return the folder with the stand-in and its libraries, made once for all that test on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beatledger-tests"
    cache.mkdir(parents=True, exist_ok=True)
    version = hashlib.sha256(SOURCE.read_bytes() + POM.encode()).hexdigest()[:12]
    folder = cache / f"mongo-{version}"
    with (cache / "mongo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            # It gets its name when it is whole: an interrupted fetch is done again.
            unfinished = cache / f"mongo-{version}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            (unfinished / "pom.xml").write_text(POM)
            maven = ["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=."]
            subprocess.run(maven, cwd=unfinished, check=True, stdout=subprocess.DEVNULL)
            compile_ = ["javac", "-cp", "./*", "-d", ".", str(SOURCE)]
            subprocess.run(compile_, cwd=unfinished, check=True)
            unfinished.rename(folder)
    return folder
