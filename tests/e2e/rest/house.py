"""The whole application in this process, over a real Postgres, asked through ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from adapters.postgres.access import Access
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.migrate import migrate
from analysis.synth import synthesise
from api.security.principal import PersonRole
from api.security.tokens import mint
from app.bootstrap import Application, assemble
from app.embedded import embedded
from app.ports import Ports
from app.settings import Settings
from projections.views import VIEWS

SONG = synthesise("edm", 128.0, 8.0, seed=3)
WAV = SONG.wav()


@dataclass
class House:
    """What a test may ask: as a client, and behind the scenes."""

    application: Application
    ports: Ports
    folder: DataFolder
    access: Access

    def client(self, *roles: PersonRole, name: str = "Paula Producer", **headers: str) -> httpx2.AsyncClient:
        """Return a client with an access token of these roles, or with none."""
        if roles:
            headers["Authorization"] = f"Bearer {mint(self.ports.secret, name, roles, timedelta(minutes=5))}"
        transport = httpx2.ASGITransport(self.application.api)
        return httpx2.AsyncClient(transport=transport, base_url="http://beatledger", headers=headers)

    def left(self) -> dict[str, int]:
        """Count all that an upload can leave behind: files, events, rows."""
        with psycopg.connect(self.access.superuser) as connection:
            counts = {
                table: connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0]
                for table in ("stored_events", "command_keys", "documents", "analysis_jobs")
            }
        files = (
            path for folder in (self.folder.incoming, self.folder.artefacts) for path in folder.rglob("*")
        )
        return {**counts, "files": sum(path.is_file() for path in files)}


@asynccontextmanager
async def house(access: Access, path: Path, *, working: bool) -> AsyncGenerator[House]:
    """Give the application with its loops; `working` False leaves queued jobs in the queue."""
    await asyncio.to_thread(migrate, access.owner, index_statements(VIEWS))
    folder, settings = DataFolder(path), Settings(data_dir=path, analysis_workers=1)
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.hold())
        ports = await stack.enter_async_context(embedded(settings, folder, access))
        application = assemble(settings, ports)
        if working:
            await stack.enter_async_context(application.running("projector", "analysis"))
        else:
            await stack.enter_async_context(_reading(application))
        found = House(application, ports, folder, access)
        async with found.client() as client:
            await until(lambda: _is(client, "/readyz", 200))
        yield found


@asynccontextmanager
async def _reading(application: Application) -> AsyncGenerator[None]:
    loops = [asyncio.create_task(loop.run()) for loop in (application.projections, application.consumer)]
    try:
        yield
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)
        await application.states.close()


async def _is(client: httpx2.AsyncClient, path: str, status: int) -> bool:
    return (await client.get(path)).status_code == status


async def until(true: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Return the first truthy answer; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := await true()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
    return found


async def upload(client: httpx2.AsyncClient, title: str = "A song", **fields: Any) -> dict[str, Any]:
    """Upload the song and return the answer's body."""
    response = await client.post(
        "/v1/tracks", data={"title": title, **fields}, files={"file": ("song.wav", WAV, "audio/wav")}
    )
    assert response.status_code == 202, response.text
    return response.json()


async def ready(client: httpx2.AsyncClient, track_id: str) -> dict[str, Any]:
    """Return the track's detail once its first analysis is done."""

    async def detail() -> dict[str, Any] | None:
        found = (await client.get(f"/v1/tracks/{track_id}")).json()
        assert found.get("status") != "failed", found
        return found if found.get("status") == "ready" else None

    return await until(detail)
