"""Clients that work while everything around them is killed: each repeats its request until it is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.servers.beatledger import Served, upload
from tests.servers.processes import until

PATIENCE_S = 150.0
"""The longest a request may be repeated before it counts as never answered."""


class Client(threading.Thread):
    """Does one thing after the other until it is told to finish, and notes what was acknowledged."""

    def __init__(self, served: Served, name: str, pause_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.served, self.label = served, name
        self.http = served.client(name=name)
        self.http.timeout = httpx2.Timeout(10.0)
        self.error: BaseException | None = None
        self.done = 0
        self._pause_s = pause_s
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.step(self.done)
                self.done += 1
                self._stopping.wait(self._pause_s)
        except BaseException as error:  # noqa: BLE001 - finish() raises it
            self.error = error
        finally:
            self.http.close()

    def step(self, number: int) -> None:
        """Do the next thing, to its end."""
        raise NotImplementedError

    def finish(self) -> None:
        """Stop after what is under way; raises what went wrong."""
        self._stopping.set()
        self.join(PATIENCE_S + 30)
        assert not self.is_alive(), f"{self.label} is stuck"
        if self.error:
            raise self.error

    def repeated(self, send: Callable[[httpx2.Client], httpx2.Response], accepted: int) -> dict[str, Any]:
        """Send until it is accepted, and return that answer's body."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.http.base_url = self.served.url  # the API that was started again has another port
            try:
                response = send(self.http)
                if response.status_code == accepted:
                    return response.json()
                assert response.status_code in (409, 503), response.text
                assert response.status_code == 409 or int(response.headers["Retry-After"]) >= 1
            except httpx2.TransportError:
                pass
            assert time.monotonic() < deadline, f"{self.label} was never answered"
            time.sleep(0.02)


class Editor(Client):
    """Renames a track, with a key a rename; `acknowledged` are the titles with their positions in the log."""

    def __init__(self, served: Served, name: str, track_id: str, pause_s: float = 0.0) -> None:
        super().__init__(served, name, pause_s)
        self.track_id = track_id
        self.acknowledged: dict[str, int] = {}

    def step(self, number: int) -> None:
        title = f"{self.label} {number}"
        headers = {"Idempotency-Key": title, "If-Match": "*"}
        path = f"/v1/tracks/{self.track_id}"
        answer = self.repeated(lambda c: c.patch(path, json={"title": title}, headers=headers), 200)
        self.acknowledged[title] = answer["position"]


class Uploader(Client):
    """Uploads a song, with a key an upload; `accepted` are the tracks with their jobs."""

    def __init__(self, served: Served, name: str, song: bytes, pause_s: float = 0.0) -> None:
        super().__init__(served, name, pause_s)
        self.song = song
        self.accepted: dict[str, str] = {}

    def step(self, number: int) -> None:
        title = f"{self.label} {number}"
        answer = self.repeated(lambda c: upload(c, self.song, key=title, title=title), 202)
        self.accepted[answer["track_id"]] = answer["job_id"]


@contextmanager
def working(clients: Sequence[Client]) -> Generator[None]:
    """Let clients work around a block; at its end each has been acknowledged something once more."""
    for client in clients:
        client.start()
    try:
        yield
        before = [client.done for client in clients]
        until(
            lambda: all(c.done > b or c.error for c, b in zip(clients, before, strict=True)),
            PATIENCE_S,
            "going on",
        )
    finally:
        for client in clients:
            client.finish()
