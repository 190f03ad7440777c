"""Readers are told how far what they read is behind the log."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from adapters.postgres.access import Access
from projections.age import REFRESH_S
from tests.servers.read_models import caught_up, make_indexes, open_read_side, running, tell, until
from tests.unit.projections.histories import history, track_id

pytestmark = pytest.mark.anyio


async def test_the_age_of_a_view_grows_while_nobody_projects_and_ends_when_it_has_caught_up(
    database: Access,
) -> None:
    await asyncio.to_thread(make_indexes, database)
    random = Random(5)
    track = track_id(random)
    story = history(random, track, 6)
    async with open_read_side(database) as side:
        async with running(side):
            await tell(side.events, track, story[:3])
            await caught_up(side)
        assert await side.views.age_s("track_list") == 0.0

        await tell(side.events, track, story[3:], after=3)

        async def older_than_a_second() -> bool:
            return await side.views.age_s("track_list") > REFRESH_S

        async def current() -> bool:
            return await side.views.age_s("track_list") == 0.0

        await until(older_than_a_second)
        async with running(side):
            await until(current)
