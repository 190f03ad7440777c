"""What a process answers that has no other surface, and one whose servers are not there yet."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI

from api.application import create_probes, create_waiting

pytestmark = pytest.mark.anyio


def client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://role")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/readyz", "/startupz", "/v1/tracks", "/"])
async def test_a_waiting_process_is_not_ready_whatever_it_is_asked(method: str, path: str) -> None:
    async with client(create_waiting("Postgres")) as waiting:
        response = await waiting.request(method, path)
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"] == [{"path": "start", "message": "waiting for Postgres"}]


async def test_a_waiting_process_lives() -> None:
    async with client(create_waiting("Postgres")) as waiting:
        assert (await waiting.get("/livez")).status_code == 200


async def test_a_process_without_a_surface_answers_probes_and_nothing_else() -> None:
    async def check() -> str:
        return "0 events behind"

    async with client(create_probes({"lag": check})) as role:
        assert (await role.get("/readyz")).json() == {"status": "ok", "checks": {"lag": "0 events behind"}}
        assert (await role.get("/startupz")).status_code == 200
        missing = await role.get("/v1/tracks")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
