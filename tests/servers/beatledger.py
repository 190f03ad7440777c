"""`beatledger up` as a process of its own, on a data folder of its own, for tests that use or kill it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from adapters.postgres.data_folder import DataFolder
from api.security.tokens import mint
from app.settings import TOKEN_SECRET

T = TypeVar("T")

COMMAND = (sys.executable, "-m", "app")


def until(ask: Callable[[], T | None], seconds: float = 20.0, what: str = "it") -> T:
    """Return the first true answer; fail the test at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.02)
    return answer


class Beatledger:
    """A data folder with an `up` that runs on it, or was killed and can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--data-dir", str(self.folder), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self.process, lines), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + 60
        while True:
            line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line, f"up ended before it was ready: {''.join(self.output)}"
            if "is ready at" in line:
                self.url = line.split("is ready at ")[1].split()[0]
                break
        until(lambda: httpx2.get(f"{self.url}/readyz").status_code == 200, what="/readyz")

    def _read(self, process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            lines.put(line)
        lines.put("")

    def kill(self) -> None:
        """SIGKILL: nothing is told, nothing is tidied."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        return self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(60)
        assert process.stdout is not None
        assert self._reader is not None
        # Postgres and the children hold the pipe too: that it ends shows that they are gone.
        self._reader.join(60)
        assert not self._reader.is_alive(), "a child outlived it"
        process.stdout.close()
        return code

    def postgres_pids(self) -> list[int]:
        """Return the postmaster and its children."""
        postmaster = int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def signal_postgres(self, number: signal.Signals) -> None:
        for pid in self.postgres_pids():
            os.kill(pid, number)

    def token(self, *roles: str, name: str = "Ada") -> str:
        secret = DataFolder(self.folder).secret(TOKEN_SECRET)
        return mint(secret, name, roles or ("producer", "auditor"), timedelta(minutes=30))  # type: ignore[arg-type]

    def client(self, *roles: str, name: str = "Ada") -> httpx2.Client:
        """Return a client with a token of these roles; producer and auditor if none are named."""
        headers = {"Authorization": f"Bearer {self.token(*roles, name=name)}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0)

    def cli(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command on the same data folder."""
        command = [*COMMAND, *words, "--data-dir", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def upload(client: httpx2.Client, content: bytes, key: str | None = None, **fields: Any) -> httpx2.Response:
    """Upload a recording as a client does."""
    return client.post(
        "/v1/tracks",
        data={"title": "Song", **fields},
        files={"file": ("song.wav", content, "audio/wav")},
        headers={"Idempotency-Key": key} if key else {},
    )


def ready(client: httpx2.Client, track_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """Return the track's detail once it is ready."""

    def detail() -> dict[str, Any] | None:
        response = client.get(f"/v1/tracks/{track_id}")
        if response.status_code != 200:
            return None
        body = response.json()
        assert body["status"] != "failed", body
        return body if body["status"] == "ready" else None

    return until(detail, seconds, f"track {track_id}")
