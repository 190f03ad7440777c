"""How an application ends: what it began in the background is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.bootstrap import Application
from projections.named_tasks import end

pytestmark = pytest.mark.anyio


class States:
    """Has a snapshot to write, which takes a moment."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self.closed = True


async def test_a_role_that_is_told_to_end_waits_for_the_snapshots_it_writes() -> None:
    """It always ends by a cancellation; cut off, they would be missing and the log would say so."""
    states = States()
    parts: list[Any] = [*[None] * 6, {}]
    application = Application(*parts, states=states)  # type: ignore[arg-type]

    async def role() -> None:
        async with application.running("rollout"):
            await asyncio.Event().wait()

    running = asyncio.create_task(role())
    await asyncio.sleep(0.01)
    await end([running])
    assert states.closed
