"""Fixtures every suite shares; the servers behind them live in tests/servers."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
