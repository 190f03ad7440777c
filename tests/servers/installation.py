"""The distributed profile over real servers, each role a process of its own, to use or to kill."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2

from adapters.postgres.access import Access
from app.settings import Migration
from tests.servers.beatledger import COMMAND, Served
from tests.servers.kafka import Broker, own_broker
from tests.servers.mongo import OwnMongo, own_mongo_server
from tests.servers.postgres import OwnPostgres, own_server
from tests.servers.processes import Process, until
from tests.servers.s3 import S3Server, running_s3

ROLES = ("relay", "projector", "analysis", "rollout", "api")


def environment(
    folder: Path, access: Access | OwnPostgres, kafka: str, mongo_url: str, s3: S3Server
) -> dict[str, str]:
    """Return the variables of an installation that shares its servers with others, but nothing in them."""
    return {
        **s3.environment,
        "BEATLEDGER_PROFILE": "distributed",
        "BEATLEDGER_DATA_DIR": str(folder),
        "BEATLEDGER_DATABASE_URL": access.serving,
        "BEATLEDGER_DATABASE_OWNER_URL": access.owner,
        "BEATLEDGER_KAFKA_BOOTSTRAP": kafka,
        "BEATLEDGER_KAFKA_NAMESPACE": f"test-{uuid4().hex}",
        "BEATLEDGER_KAFKA_PARTITIONS": "4",
        "BEATLEDGER_KAFKA_REPLICAS": "1",
        "BEATLEDGER_MONGO_URL": mongo_url,
        "BEATLEDGER_ARTEFACTS_URL": f"{s3.url}/{uuid4().hex}",
        "BEATLEDGER_ANALYSIS_WORKERS": "1",
        "BEATLEDGER_SECRET": uuid4().hex,
    }


def settings_of(environment: Mapping[str, str]) -> Migration:
    """Return the settings that these variables make, for an installation within this process."""
    ours = {name for name in environment if name.startswith("BEATLEDGER_")}
    return Migration(**{name.removeprefix("BEATLEDGER_").lower(): environment[name] for name in ours})  # type: ignore[arg-type]


class Installation(Served):
    """An installation; `start` and `kill` its processes by name: a role, or `role-2` and so on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self.processes: dict[str, Process] = {}
        self._urls: dict[str, str] = {}
        self._url = ""

    @property
    def url(self) -> str:
        """Where the API is: a new place, as soon as it has been started again."""
        api = self.processes.get("api")
        self._url = (api and api.found_after(_at("api"))) or self._url
        return self._url

    @property
    def secret(self) -> str:
        return self.environment["BEATLEDGER_SECRET"]

    def migrate(self) -> None:
        done = self.cli("migrate")
        assert done.returncode == 0, done.stderr

    def start_all(self) -> None:
        """Start a process of each role and wait until all are ready."""
        for role in ROLES:
            self.begin(role)
        for role in ROLES:
            self.ready(role)

    def begin(self, name: str, command: Sequence[str] = COMMAND) -> None:
        """Start a process; it need not be ready when this returns."""
        self.processes[name] = Process([*command, "role", _role(name), "--port", "0"], self.environment)
        self._urls.pop(name, None)

    def listening(self, name: str) -> str:
        """Return the address of a begun process, once it answers there at all."""
        if name not in self._urls:
            self._urls[name] = self.processes[name].url_after(_at(name))
        return self._urls[name]

    def ready(self, name: str, seconds: float = 60.0) -> None:
        """Wait until a begun process is ready."""
        self.listening(name)
        until(lambda: self.probe(name) == 200, seconds, f"{name}'s /readyz")

    def start(self, name: str) -> None:
        self.begin(name)
        self.ready(name)

    def probe(self, name: str, path: str = "/readyz") -> int:
        """Return the status of a health probe."""
        assert self.processes[name].lives, f"{name} ended: {''.join(self.processes[name].output)}"
        return httpx2.get(f"{self._urls[name]}{path}", timeout=10.0).status_code

    def said(self, name: str) -> str:
        """Return what a process has said so far."""
        return "".join(self.processes[name].output)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.processes.pop(name).end(signal.SIGKILL)

    def stop(self, name: str) -> int:
        """SIGTERM, as an orchestrator does; returns the exit code."""
        return self.processes.pop(name).end(signal.SIGTERM)

    def stop_all(self) -> Sequence[int]:
        """SIGTERM to all at once; returns the exit codes."""
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        codes = [process.wait() for process in self.processes.values()]
        self.processes.clear()
        return codes

    def cli(
        self, *words: str, timeout_s: float = 60.0, command: Sequence[str] = COMMAND
    ) -> subprocess.CompletedProcess[str]:
        """Run another command on the same installation."""
        return subprocess.run(
            [*command, *words],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=self.environment,
        )


@dataclass(frozen=True)
class OwnServers:
    """Private servers, to be killed, paused and started again."""

    postgres: OwnPostgres
    kafka: Broker
    mongo: OwnMongo
    s3: S3Server


class OwnInstallation(Installation):
    """An installation whose servers are its own."""

    def __init__(self, environment: Mapping[str, str], servers: OwnServers) -> None:
        super().__init__(environment)
        self.servers = servers

    def restore(self) -> None:
        """One process of each role, each of them ready, whatever was done to them before."""
        for name in [*self.processes]:
            process = self.processes[name]
            assert process.lives, f"{name} had ended by itself ({process.ended}): {self.said(name)}"
            if name not in ROLES:
                self.kill(name)
        for role in ROLES:
            if role not in self.processes:
                self.begin(role)
        for role in ROLES:
            self.ready(role)


@contextmanager
def own_installation(migrated_folder: Path, folder: Path) -> Generator[OwnInstallation]:
    """Give an installation with servers of its own, all of it running, and end it whatever was done to it."""
    (folder / "mongo").mkdir()
    (folder / "s3").mkdir()
    with (
        own_server(migrated_folder, folder / "postgres") as postgres,
        own_broker(folder / "kafka") as kafka,
        own_mongo_server(folder / "mongo") as mongo,
        running_s3(folder / "s3") as s3,
    ):
        servers = OwnServers(postgres, kafka, mongo, s3)
        variables = environment(folder / "data", postgres, kafka.bootstrap, mongo.url, s3)
        installation = OwnInstallation(variables, servers)
        try:
            installation.migrate()
            installation.start_all()
            yield installation
        finally:
            for name in [*installation.processes]:
                installation.kill(name)


def _role(name: str) -> str:
    return name.partition("-")[0]


def _at(name: str) -> str:
    return f"beatledger {_role(name)} is at "
