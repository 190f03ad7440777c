"""The whole application in this process, over a real Postgres, asked through ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import obstore
import psycopg
from obstore.store import S3Store
from pymongo import MongoClient

from adapters.postgres.access import Access
from adapters.postgres.data_folder import DataFolder
from adapters.postgres.document_indexes import index_statements
from adapters.postgres.migrate import migrate
from analysis.synth import synthesise
from api.security.principal import PersonRole
from api.security.tokens import mint
from app.bootstrap import Application, assemble
from app.distributed import distributed, relay_of
from app.embedded import embedded
from app.migration import migrate_servers
from app.ports import Ports
from app.settings import Embedded, Migration
from projections.views import VIEWS
from tests.e2e.rest.contract import check
from tests.servers.postgres import OwnPostgres

SONG = synthesise("edm", 128.0, 8.0, seed=3)
WAV = SONG.wav()


@dataclass
class House:
    """What a test may ask: as a client, and behind the scenes. `left` counts what an upload can leave."""

    application: Application
    ports: Ports
    access: Access | OwnPostgres
    left: Callable[[], dict[str, int]]

    def client(self, *roles: PersonRole, name: str = "Paula Producer", **headers: str) -> httpx2.AsyncClient:
        """Return a client with an access token of these roles, or with none."""
        if roles:
            headers["Authorization"] = f"Bearer {mint(self.ports.secret, name, roles, timedelta(minutes=5))}"
        transport = httpx2.ASGITransport(self.application.api)
        hooks = {"response": [check]}
        return httpx2.AsyncClient(
            transport=transport, base_url="http://beatledger", headers=headers, event_hooks=hooks
        )


@asynccontextmanager
async def embedded_house(access: Access | OwnPostgres, path: Path, *, working: bool) -> AsyncGenerator[House]:
    """Give the embedded profile's application; `working` False leaves queued jobs in the queue."""
    await asyncio.to_thread(migrate, access.owner, index_statements(VIEWS))
    folder, settings = DataFolder(path), Embedded(data_dir=path, analysis_workers=1)

    def left() -> dict[str, int]:
        files = _files(folder.artefacts) + _files(folder.incoming)
        return {**_rows(access, "documents"), "files": files}

    with folder.hold():
        async with (
            embedded(settings, folder, access) as ports,
            _open(assemble(settings, ports), working) as application,
        ):
            yield House(application, ports, access, left)


@asynccontextmanager
async def distributed_house(settings: Migration, access: Access, *, working: bool) -> AsyncGenerator[House]:
    """Give the distributed profile's application, all roles in this process."""
    await asyncio.to_thread(migrate_servers, settings)
    store = S3Store.from_url(settings.artefacts_url, client_options={"allow_http": True})
    mongo = MongoClient[dict[str, Any]](settings.mongo_url.get_secret_value())

    def left() -> dict[str, int]:
        database = mongo.get_default_database()
        documents = {name: database[name].count_documents({}) for name in database.list_collection_names()}
        stored = sum(len(some) for some in obstore.list(store))
        return {**_rows(access), **documents, "files": stored + _files(settings.data_dir / "incoming")}

    with closing(mongo):
        async with distributed(settings) as ports:
            relaying = asyncio.create_task(relay_of(settings).run())
            try:
                async with _open(assemble(settings, ports), working) as application:
                    yield House(application, ports, access, left)
            finally:
                relaying.cancel()
                await asyncio.wait([relaying])


@asynccontextmanager
async def _open(application: Application, working: bool) -> AsyncGenerator[Application]:
    """Run the application's loops around a block that begins when it is ready."""
    roles = ("projector", "analysis", "rollout")
    async with application.running(*roles) if working else _reading(application):
        transport = httpx2.ASGITransport(application.api)
        async with httpx2.AsyncClient(transport=transport, base_url="http://beatledger") as client:
            await until(lambda: _is(client, "/readyz", 200))
        yield application


def _rows(access: Access | OwnPostgres, *more: str) -> dict[str, int]:
    with psycopg.connect(access.superuser) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()[0]
            for table in ("stored_events", "command_keys", "analysis_jobs", *more)
        }


def _files(folder: Path) -> int:
    return sum(path.is_file() and path.name != "lock" for path in folder.rglob("*"))


@asynccontextmanager
async def _reading(application: Application) -> AsyncGenerator[None]:
    loops = [
        asyncio.create_task(loop.run())
        for loop in (application.projections, application.processes["analysis"])
    ]
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
    """Return the track's detail once its first analysis is done, and every view shows it."""
    path = f"/v1/tracks/{track_id}"

    async def detail() -> dict[str, Any] | None:
        found = (await client.get(path)).json()
        assert found.get("status") != "failed", found
        return found if found.get("status") == "ready" else None

    async def elsewhere() -> bool:
        beats, manifest = await client.get(f"{path}/beats"), await client.get(f"{path}/versions/1/manifest")
        shown = beats.headers.get("etag", "").startswith(f'"{found["revision"]}-')
        return shown and manifest.status_code == 200

    found = await until(detail)
    await until(elsewhere)
    return found
