"""up, migrate, token: starting the embedded profile and getting into it."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, get_args

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from adapters.postgres.cannot_start import CannotStart
from adapters.postgres.data_folder import DataFolder
from api.security.principal import PersonRole
from app.cli.local import DataDir, settings_with
from app.settings import TOKEN_SECRET
from domain.command import Line

RoleName = StrEnum("RoleName", get_args(PersonRole))
"""The roles of people, in the shape typer lists and checks."""


def _line(name: str) -> str:
    try:
        return TypeAdapter(Line).validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from error


def up(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Where to listen (default: 127.0.0.1)")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="0 takes a free one (default: 8000)")
    ] = None,
) -> None:
    """Start everything on this machine: API, projections, analysis and a Postgres of its own."""
    from app import serving
    from app.logging import configure_logging

    configure_logging()
    settings = settings_with(data_dir=data_dir, host=host, port=port)
    console = Console(soft_wrap=True)

    def ready(url: str) -> None:
        folder = settings.data_dir
        console.print(f"beatledger is ready at [bold]{url}[/]  (docs: {url}/docs)")
        console.print(
            f"data: {folder}   a token: beatledger token --data-dir {folder} --role producer --name you"
        )
        console.print("Ctrl-C stops it all")

    console.print("starting …")
    serving.serve(settings, ready)
    console.print("stopped")


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this version; `up` does the same before it serves."""
    from adapters.postgres.running import running_or_own
    from app import serving

    folder = DataFolder(settings_with(data_dir=data_dir).data_dir)
    with running_or_own(folder) as access:
        applied = serving.prepare(access)
    typer.echo("\n".join(applied) or "nothing to do")


def token(
    role: Annotated[list[RoleName], typer.Option(help="May be given more than once.")],
    name: Annotated[str, typer.Option(help="Who will be named in the history.", callback=_line)],
    ttl: Annotated[int, typer.Option(help="Seconds it is valid.", min=1, max=31_536_000)] = 900,
    data_dir: DataDir = None,
) -> None:
    """Print an access token, signed with the secret of the data folder."""
    from api.security.tokens import mint

    folder = DataFolder(settings_with(data_dir=data_dir).data_dir)
    if not folder.secrets.exists():
        # A new secret would sign tokens that no server knows.
        raise CannotStart(f"{folder.path} is no data folder: `beatledger up` makes one")
    roles: list[PersonRole] = [known for known in get_args(PersonRole) if known in role]
    typer.echo(mint(folder.secret(TOKEN_SECRET), name, roles, timedelta(seconds=ttl)))
