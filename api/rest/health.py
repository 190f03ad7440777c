"""Whether the process lives, has started, and can serve: for orchestrators, without a token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request

from api.refusals import NotReady
from api.rest.models import Health
from domain.errors import LedgerError

router = APIRouter(tags=["health"])

CHECK_S = 2.0

ReadinessCheck = Callable[[], Awaitable[str]]
"""Returns how the part it asks is, when it is there; raises, with a reason in its text, when it isn't."""

Readiness = Mapping[str, ReadinessCheck]
"""What a process needs to serve, by name."""


@router.get("/livez")
async def livez() -> Health:
    """Answer 200 while the process lives."""
    return Health()


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """Answer 200 while the process has everything it needs, else 503 with the parts that are missing."""
    checks: Readiness = request.app.state.readiness
    outcomes = await asyncio.gather(*(_outcome(check) for check in checks.values()))
    missing = {name: text for name, (there, text) in zip(checks, outcomes, strict=True) if not there}
    if missing:
        raise NotReady(missing)
    request.app.state.started = True
    return Health(checks={name: text for name, (_, text) in zip(checks, outcomes, strict=True)})


@router.get("/startupz")
async def startupz(request: Request) -> Health:
    """Answer 200 once the process has been ready, also if it is no longer."""
    return Health() if request.app.state.started else await readyz(request)


async def _outcome(check: ReadinessCheck) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(CHECK_S):
            return True, await check()
    except TimeoutError:
        return False, f"no answer within {CHECK_S:g} s"
    except LedgerError as error:
        return False, error.detail
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason; its text may name the inside
        return False, type(error).__name__
