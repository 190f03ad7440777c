"""Whether the process lives, has started, and can serve: for orchestrators, without a token."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from api.refusals import NotReady
from api.rest.models import Health
from api.rest.routing import PROBLEMS
from api.services import ReadinessCheck, services_of
from domain.errors import LedgerError

router = APIRouter(tags=["health"], responses=PROBLEMS)

CHECK_S = 2.0


@router.get("/livez")
async def livez() -> Health:
    """Answer as long as the event loop turns."""
    return Health()


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """Answer when everything a request needs is there; 503 with what is missing otherwise."""
    checks = services_of(request).readiness
    texts = await asyncio.gather(*(_missing(check) for check in checks.values()))
    missing = {name: text for name, text in zip(checks, texts, strict=True) if text is not None}
    if missing:
        raise NotReady(missing)
    request.app.state.started = True
    return Health()


@router.get("/startupz")
async def startupz(request: Request) -> Health:
    """Answer once the process has been ready, whatever became of it since."""
    return Health() if request.app.state.started else await readyz(request)


async def _missing(check: ReadinessCheck) -> str | None:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except LedgerError as error:
        return error.detail
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason; its text may name the inside
        return type(error).__name__
    return None
