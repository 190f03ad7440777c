"""How a command other than `up` gets at a data folder: beside a running `up`, or by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder
from app.settings import Settings

if TYPE_CHECKING:
    from app.ports import Ports

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data folder (BEATLEDGER_DATA_DIR; default: .beatledger)"),
]


def settings_with(**given: object) -> Settings:
    """Return the settings of the environment, with what the command line says instead.

    Raises CannotStart for a BEATLEDGER_* variable that is no such setting.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = error.errors()[0]
        variable = f"BEATLEDGER_{wrong['loc'][0]}".upper()
        raise CannotStart(f"{variable} (or its option) is wrong: {wrong['msg']}") from error


def with_ports(data_dir: Path | None, work: Callable[[Ports], Awaitable[T]]) -> T:
    """Do the work on the ports of the data folder, starting its Postgres when nobody serves it.

    Raises CannotStart when there is no such data folder.
    """
    from adapters.postgres.running import running_or_own
    from app.embedded import embedded
    from app.serving import prepare

    settings = settings_with(data_dir=data_dir)
    folder = DataFolder(settings.data_dir)
    if not folder.postgres.exists():
        raise CannotStart(f"{folder.path} is no data folder: `beatledger up` makes one")
    with running_or_own(folder) as access:
        if folder.held:
            prepare(access)  # else the `up` that runs has done it

        async def run() -> T:
            async with embedded(settings, folder, access) as ports:
                return await work(ports)

        return asyncio.run(run())
