"""Real Kafka for the tests: one broker for the whole run, private ones to kill; or BEATLEDGER_TEST_KAFKA.

Kafka comes from Maven, once, into a cache folder. The broker of the run is shared by all of pytest-xdist's
workers: the first one that needs it starts a guardian, `python -m tests.servers.kafka FOLDER PID`, which
ends the broker as soon as the process PID, the one that controls the run, is gone, however it went.
Tests keep apart by their own topics.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = "4.1.1"
READY_S = 60.0
# A small heap and the quick compiler only: ready within 2 s, and 200 MB.
_JAVA = ["java", "-Xmx256m", "-Xms64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency></dependencies></project>
"""
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
num.network.threads=1
num.io.threads=2
background.threads=1
log.cleaner.enable=false
"""


class NoKafka(Exception):
    """Kafka can't be had here."""


class Broker:
    """One broker in a folder: the same port and data at each start. Ends with the thread that started it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port, controller = _free_ports(2)
        folder.mkdir(parents=True, exist_ok=True)
        self._properties = folder / "server.properties"
        self._properties.write_text(_PROPERTIES.format(port=self._port, controller=controller, folder=folder))
        if not (folder / "log").exists():
            self._format()

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it (again) and return when it takes connections. Raises NoKafka."""
        with (self.folder / "broker.out").open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._java("kafka.Kafka")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_S
        while not _answers(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoKafka(f"the broker did not start: {(self.folder / 'broker.out').read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it with SIGKILL; it loses nothing that it acknowledged, since its machine lives on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Take everything away from a broker that is down, as a lost disk does."""
        assert self._process is None
        shutil.rmtree(self.folder / "log")
        self._format()

    def _format(self) -> None:
        # A leading dash would be taken for an option.
        cluster = base64.urlsafe_b64encode(b"k" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c")
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise NoKafka(f"the broker's folder can't be formatted: {done.stderr.decode()[-2000:]}")

    def _java(self, *words: str) -> list[str]:
        return [*_JAVA, "-cp", f"{_jars()}/*", *words, str(self._properties)]


def shared_broker(folder: Path, controller_pid: int) -> str:
    """Return the bootstrap address of the run's broker, started if this is the first to ask."""
    if given := os.environ.get("BEATLEDGER_TEST_KAFKA"):
        return given
    with _or_skip(), _locked(folder / "kafka.lock"):
        address = folder / "kafka.address"
        if not address.exists():
            subprocess.run(
                [sys.executable, "-m", "tests.servers.kafka", str(folder), str(controller_pid)],
                cwd=Path(__file__).parents[2],
                check=False,
            )
        if not address.exists():
            raise NoKafka((folder / "kafka.failure").read_text())
        return address.read_text()


@contextmanager
def own_broker(folder: Path) -> Generator[Broker]:
    """Give a started broker that the test may kill, pause, empty and start again."""
    with _or_skip():
        broker = Broker(folder)
        broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _or_skip() -> Generator[None]:
    """Without a Kafka the run fails in CI, and skips elsewhere."""
    try:
        yield
    except (NoKafka, OSError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka: {error}")


def _jars() -> Path:
    """Return the folder of Kafka's jars, fetched if they are not there yet. Raises NoKafka."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beatledger"
    jars = cache / f"kafka-{VERSION}"
    if jars.exists():
        return jars
    if missing := [program for program in ("java", "mvn") if shutil.which(program) is None]:
        raise NoKafka(f"{' and '.join(missing)} must be on PATH")
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "kafka.lock"):
        if not jars.exists():
            half = cache / f"half-{os.getpid()}"
            half.mkdir(exist_ok=True)
            (half / "pom.xml").write_text(_POM)
            command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={half}/jars"]
            done = subprocess.run(command, cwd=half, capture_output=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise NoKafka(f"Maven could not fetch Kafka {VERSION}: {done.stdout.decode()[-2000:]}")
            (half / "jars").rename(jars)
            shutil.rmtree(half)
    return jars


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in listening]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _guard(folder: Path, controller_pid: int) -> None:
    """Start the run's broker, tell its address, and end it when the controller of the run is gone."""
    controller = os.pidfd_open(controller_pid)
    home = folder / "kafka"
    try:
        broker = Broker(home)
        broker.start()
    except (NoKafka, OSError) as error:
        (folder / "kafka.failure").write_text(str(error))
        return
    told = folder / "kafka.told"
    told.write_text(broker.bootstrap)
    told.rename(folder / "kafka.address")
    select.select([controller], [], [])
    broker.kill()
    shutil.rmtree(home, ignore_errors=True)


def main(folder: Path, controller_pid: int) -> None:
    """Return when the broker is ready or failed to be; a child in a session of its own stays to guard it."""
    guardian = os.fork()
    if guardian == 0:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        _guard(folder, controller_pid)
        os._exit(0)
    while not (folder / "kafka.address").exists() and not os.waitpid(guardian, os.WNOHANG)[0]:
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
