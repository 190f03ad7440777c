"""One application for all tests of the surface: each test uses tracks of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.e2e.rest.house import House, distributed_house, embedded_house, ready, upload
from tests.servers.installation import environment, settings_of


@pytest.fixture(scope="package", params=["embedded", "distributed"])
def profile(request: pytest.FixtureRequest) -> str:
    """Every test of the surface runs over both."""
    return request.param


@pytest.fixture(scope="package")
async def working(anyio_backend: str, profile: str, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """The whole application, analysis included."""
    async with _house(profile, request, working=True) as found:
        yield found


@pytest.fixture(scope="package")
async def idle(anyio_backend: str, profile: str, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """The application without analysis workers: what is queued stays queued."""
    async with _house(profile, request, working=False) as found:
        yield found


@asynccontextmanager
async def _house(profile: str, request: pytest.FixtureRequest, *, working: bool) -> AsyncGenerator[House]:
    # Asked for here, so that the embedded profile's tests alone start no Kafka.
    server: Callable[[str], Any] = request.getfixturevalue
    path = server("tmp_path_factory").mktemp("house")
    with server("postgres").database() as access:
        if profile == "embedded":
            async with embedded_house(access, path, working=working) as found:
                yield found
            return
        with server("mongo").database() as mongo_url:
            settings = settings_of(environment(path, access, server("kafka"), mongo_url, server("s3")))
            async with distributed_house(settings, access, working=working) as found:
                yield found


@pytest.fixture
async def producer(working: House) -> AsyncIterator[httpx2.AsyncClient]:
    """A producer's client of the whole application."""
    async with working.client("producer") as client:
        yield client


@pytest.fixture(scope="package")
async def song(working: House) -> str:
    """A track with one version, which no test changes."""
    async with working.client("producer") as client:
        track_id = (await upload(client, "The unchanged one", tags=["kept", "first"]))["track_id"]
        await ready(client, track_id)
    return track_id
