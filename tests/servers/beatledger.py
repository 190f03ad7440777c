"""The product as its clients meet it, and `beatledger up` on a data folder of its own, to use or to kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from adapters.postgres.data_folder import DataFolder
from adapters.postgres.postmaster import running_postmaster
from api.security.tokens import mint
from app.settings import TOKEN_SECRET
from tests.servers.processes import Process, until

COMMAND = (sys.executable, "-m", "app")


class Served:
    """What any running installation gives a test: an address, tokens, the command line."""

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def secret(self) -> str:
        raise NotImplementedError

    def token(self, *roles: str, name: str = "Ada") -> str:
        return mint(self.secret, name, roles or ("producer", "auditor"), timedelta(minutes=30))  # type: ignore[arg-type]

    def client(self, *roles: str, name: str = "Ada") -> httpx2.Client:
        """Return a client with a token of these roles; producer and auditor if none are named."""
        headers = {"Authorization": f"Bearer {self.token(*roles, name=name)}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0)

    def cli(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command on the same installation."""
        raise NotImplementedError


class Beatledger(Served):
    """A data folder with an `up` that runs on it, or was killed and can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: Process | None = None
        self._url = ""

    @property
    def url(self) -> str:
        return self._url

    @property
    def secret(self) -> str:
        return DataFolder(self.folder).secret(TOKEN_SECRET)

    def start(self, ready_s: float = 20.0) -> None:
        """Start it and wait until it is ready: its views are built by then."""
        words = [*COMMAND, "up", "--data-dir", str(self.folder), "--port", "0"]
        self.process = Process(words, os.environ)
        self._url = self.process.url_after("is ready at ")
        until(lambda: httpx2.get(f"{self.url}/readyz").status_code == 200, ready_s, "/readyz")

    def kill(self) -> None:
        """SIGKILL: nothing is told, nothing is tidied."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        return self._end(signal.SIGINT)

    def cli(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command on the same data folder."""
        command = [*COMMAND, *words, "--data-dir", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        assert process.ended is None, f"it had ended by itself ({process.ended}): {''.join(process.output)}"
        # Postgres and the children hold its output too: that it ends shows that they are gone.
        return process.end(number)

    def postgres_pids(self) -> list[int]:
        """Return the postmaster and its children, once it runs: the file of a dead one may name anybody."""
        postmaster = until(lambda: running_postmaster(self.folder / "postgres"), what="Postgres").pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def signal_postgres(self, number: signal.Signals) -> None:
        for pid in self.postgres_pids():
            os.kill(pid, number)


def upload(client: httpx2.Client, content: bytes, key: str | None = None, **fields: Any) -> httpx2.Response:
    """Upload a recording as a client does."""
    return client.post(
        "/v1/tracks",
        data={"title": "Song", **fields},
        files={"file": ("song.wav", content, "audio/wav")},
        headers={"Idempotency-Key": key} if key else {},
    )


def ready(client: httpx2.Client, track_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """Return the track's detail once it is ready, and every view shows it."""
    path = f"/v1/tracks/{track_id}"

    def detail() -> dict[str, Any] | None:
        response = client.get(path)
        if response.status_code != 200:
            return None
        body = response.json()
        assert body["status"] != "failed", body
        return body if body["status"] == "ready" else None

    def elsewhere() -> bool:
        shown = [client.get(f"{path}/{part}").status_code for part in ("beats", "versions/1/manifest")]
        return shown == [200, 200]

    found = until(detail, seconds, f"track {track_id}")
    until(elsewhere, seconds, f"the other views of {track_id}")
    return found
