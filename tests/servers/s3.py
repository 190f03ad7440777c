"""A real S3 server for the tests: SeaweedFS, from its wheel, all of it in one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.servers.ports import free_ports
from tests.servers.processes import until

BUCKET = "beatledger"


class S3Server:
    """A server with one bucket, which a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._s3, self._web, *self._others = free_ports(10)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"s3://{BUCKET}"
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._s3}",
            "AWS_ACCESS_KEY_ID": "beatledger",
            "AWS_SECRET_ACCESS_KEY": "of-a-test",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        names = ("master", "volume", "filer", "admin")
        ports = [f"-{name}.port={port}" for name, port in zip(names, self._others[:4], strict=True)]
        ports += [f"-{name}.port.grpc={port}" for name, port in zip(names, self._others[4:], strict=True)]
        words = [
            *("setpriv", "--pdeathsig", "KILL", str(Path(sys.executable).with_name("weed")), "-logdir", "."),
            *(
                "mini",
                f"-dir={self._folder / 'data'}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-webdav=false",
            ),
            *(f"-bucket={BUCKET}", "-admin.ui=false", f"-s3.port={self._s3}", f"-s3.port.grpc={self._web}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", *ports),
            "-master.telemetry=false",  # it would report to its makers
        ]
        with (self._folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                words, cwd=self._folder, stdout=output, stderr=output, env=os.environ | self.environment
            )
        until(self._answers, 30, "the S3 server")

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        try:
            return httpx2.get(f"{self.environment['AWS_ENDPOINT_URL']}/healthz").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def running_s3(folder: Path) -> Generator[S3Server]:
    """Give a started server."""
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
