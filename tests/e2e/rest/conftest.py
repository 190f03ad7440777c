"""One application for all tests of the surface: each test uses tracks of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.e2e.rest.house import House, house, ready, upload
from tests.servers.postgres import TestServer


@pytest.fixture(scope="session")
async def working(
    anyio_backend: str, postgres: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """The whole application, analysis included."""
    with postgres.database() as access:
        async with house(access, tmp_path_factory.mktemp("working"), working=True) as found:
            yield found


@pytest.fixture(scope="session")
async def idle(
    anyio_backend: str, postgres: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """The application without analysis workers: what is queued stays queued."""
    with postgres.database() as access:
        async with house(access, tmp_path_factory.mktemp("idle"), working=False) as found:
            yield found


@pytest.fixture
async def producer(working: House) -> AsyncIterator[httpx2.AsyncClient]:
    """A producer's client of the whole application."""
    async with working.client("producer") as client:
        yield client


@pytest.fixture(scope="session")
async def song(working: House) -> str:
    """A track with one version, which no test changes."""
    async with working.client("producer") as client:
        track_id = (await upload(client, "The unchanged one", tags=["kept", "first"]))["track_id"]
        await ready(client, track_id)
    return track_id
