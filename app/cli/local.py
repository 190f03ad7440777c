"""How a command gets at an installation: the servers of the settings, or the data folder, beside a running
`up` or by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import ValidationError

from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder
from app.settings import TOKEN_SECRET, Distributed, Embedded, Settings

if TYPE_CHECKING:
    from app.ports import Ports

T = TypeVar("T")
S = TypeVar("S", bound=Settings)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The data folder (BEATLEDGER_DATA_DIR; default: .beatledger)"),
]


def settings_with(**given: object) -> Embedded | Distributed:
    """Return the settings of the environment's profile, with what the command line says instead.

    Raises CannotStart for a BEATLEDGER_* variable that is missing or no such setting.
    """
    match read_settings(Settings, **given).profile:
        case "embedded":
            return read_settings(Embedded, **given)
        case "distributed":
            return read_settings(Distributed, **given)


def read_settings(kind: type[S], **given: object) -> S:
    """Return settings of this kind. Raises CannotStart."""
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        variable = f"BEATLEDGER_{wrong['loc'][0]}".upper()
        raise CannotStart(
            f"{variable} (or its option) is wrong: {wrong['msg'].removeprefix('Value error, ')}"
        ) from error


def secret_of(settings: Embedded) -> str:
    """Return what signs access tokens. Raises CannotStart when there is no data folder to hold it."""
    if settings.secret is not None:
        return settings.secret.get_secret_value()
    return data_folder(settings).secret(TOKEN_SECRET)


def data_folder(settings: Embedded) -> DataFolder:
    """Return the data folder of the settings. Raises CannotStart when there is none."""
    folder = DataFolder(settings.data_dir)
    if not folder.secrets.exists():
        # A new one would have secrets that no server knows.
        raise CannotStart(f"{folder.path} is no data folder: `beatledger up` makes one")
    return folder


def with_ports(data_dir: Path | None, work: Callable[[Ports], Awaitable[T]]) -> T:
    """Do the work on the installation's ports. Raises CannotStart when there is no such installation."""
    settings = settings_with(data_dir=data_dir)

    async def run(ports: AbstractAsyncContextManager[Ports]) -> T:
        async with ports as opened:
            return await work(opened)

    with _ports(settings) as ports:
        return asyncio.run(run(ports))


@contextmanager
def _ports(settings: Embedded | Distributed) -> Generator[AbstractAsyncContextManager[Ports]]:
    match settings:
        case Distributed():
            from app.distributed import distributed

            yield distributed(settings)
        case Embedded():
            from adapters.postgres.running import running_or_own
            from app.embedded import embedded
            from app.migration import prepare

            folder = data_folder(settings)
            # Its Postgres is started when nobody serves it.
            with running_or_own(folder) as access:
                if folder.held:
                    prepare(access)  # else the `up` that runs has done it
                yield embedded(settings, folder, access)
