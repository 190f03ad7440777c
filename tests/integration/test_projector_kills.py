"""A process that projects is killed with SIGKILL in the middle of its work, again and again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.servers.postgres import TestServer
from tests.servers.read_models import (
    ReadSide,
    caught_up,
    open_read_side,
    read_models,
    running,
    shows_the_log,
    tell_stories,
    until,
)

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def side(postgres: TestServer, documents_in: str | None) -> AsyncIterator[tuple[ReadSide, list[str]]]:
    """A read side, and the arguments with which a process of its own projects into the same documents."""
    with read_models(postgres) as access:
        async with open_read_side(access, mongo_url=documents_in) as side:
            yield side, [access.serving, *([documents_in] if documents_in else [])]


async def progress(side: ReadSide) -> int:
    return sum(sum(status.watermarks.values()) for status in await side.views.status())


async def kill_in_mid_work(side: ReadSide, arguments: list[str], random: Random) -> None:
    """Start a projecting process, write while it works, and kill it at a moment of its progress."""
    start = await progress(side)
    command = [sys.executable, "-m", "tests.integration.projecting", *arguments]
    child = subprocess.Popen(command, cwd=ROOT)
    writing = asyncio.create_task(tell_stories(side.events, random.randrange(1 << 30), tracks=20))
    target = start + random.randint(1, 200)

    async def moved() -> bool:
        assert child.poll() is None, "it ended by itself"
        return await progress(side) >= target

    try:
        await until(moved, deadline_s=30)
    finally:
        child.kill()
        child.wait()
        await writing


@pytest.mark.parametrize("rounds", [3, pytest.param(30, marks=pytest.mark.soak)])
async def test_a_killed_process_leaves_nothing_undone_or_done_twice(
    side: tuple[ReadSide, list[str]], rounds: int
) -> None:
    """The first start, a rebuild and the following are all hit; whoever starts next ends it rightly."""
    read_side, arguments = side
    random = Random(rounds)
    for _ in range(rounds):
        await kill_in_mid_work(read_side, arguments, random)
    async with running(read_side):
        await caught_up(read_side)
    await shows_the_log(read_side)
