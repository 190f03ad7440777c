"""How a command other than `up` gets at a data folder: beside a running `up`, or by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from adapters.postgres.data_folder import DataFolder
from adapters.postgres.running import running_or_own
from app.embedded import embedded
from app.ports import Ports
from app.serving import prepare
from app.settings import Settings

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data folder [BEATLEDGER_DATA_DIR; default: .beatledger]"),
]


def settings_with(**given: object) -> Settings:
    """Return the settings of the environment, with what the command line says instead."""
    return Settings.model_validate(
        {**Settings().model_dump(), **{k: v for k, v in given.items() if v is not None}}
    )


def with_ports(data_dir: Path | None, work: Callable[[Ports], Awaitable[T]]) -> T:
    """Do the work on the ports of the data folder, starting its Postgres when nobody serves it.

    Raises CannotStart when there is no such data folder.
    """
    settings = settings_with(data_dir=data_dir)
    folder = DataFolder(settings.data_dir)
    if not folder.postgres.exists():
        raise typer.BadParameter(f"{folder.path} is no data folder: `beatledger up` makes one")
    with running_or_own(folder) as access:
        prepare(access)

        async def run() -> T:
            async with embedded(settings, folder, access) as ports:
                return await work(ports)

        return asyncio.run(run())
