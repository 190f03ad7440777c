"""Postgres goes away under the API and comes back: refused in time, then at work again without a restart."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.rest.house import embedded_house, until, upload
from tests.servers.postgres import OwnPostgres

pytestmark = pytest.mark.anyio


async def test_without_postgres_the_api_says_when_to_try_again(
    own_postgres: OwnPostgres, tmp_path: Path
) -> None:
    async with (
        embedded_house(own_postgres, tmp_path / "house", working=False) as found,
        found.client("producer") as client,
    ):
        answer = await upload(client, "Before")
        path = f"/v1/tracks/{answer['track_id']}"
        own_postgres.stop()
        await all_refused(client, path, f"/v1/jobs/{answer['job_id']}")
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        own_postgres.start()

        async def changed() -> bool:
            again = await client.patch(path, json={"title": "After"}, headers={"If-Match": "*"})
            return again.status_code == 200

        async def shown() -> bool:
            response = await client.get(path)
            return response.status_code == 200 and response.json()["title"] == "After"

        await until(changed)
        await until(shown)


async def all_refused(client: httpx2.AsyncClient, track: str, job: str) -> None:
    began = time.monotonic()
    answers = await asyncio.gather(
        *(client.get(address) for address in ("/v1/tracks", track, f"{track}/history", job)),
        client.patch(track, json={"title": "Meanwhile"}, headers={"If-Match": "*"}),
    )
    for response in answers:
        assert (response.status_code, response.json()["code"]) == (503, "unavailable"), response.request.url
        assert response.headers["retry-after"] == "1"
    assert time.monotonic() - began < 10
