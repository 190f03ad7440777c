"""up, role, migrate, token: starting an installation and getting into it."""

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
from app.cli.local import DataDir, read_settings, secret_of, settings_with
from app.role_list import DISTRIBUTED
from app.settings import Distributed, Embedded, Migration
from domain.command import Line

RoleName = StrEnum("RoleName", get_args(PersonRole))
"""The roles of people, in the shape typer lists and checks."""

ProcessName = StrEnum("ProcessName", DISTRIBUTED)
"""The roles of processes, likewise."""

Host = Annotated[str | None, typer.Option(help="Where to listen (default: 127.0.0.1)")]
Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="0 takes a free one (default: 8000)")]


def _line(name: str) -> str:
    try:
        return TypeAdapter(Line).validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from error


def up(
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Start everything on this machine: API, projections, analysis and a Postgres of its own."""
    from app import serving

    settings = settings_with(data_dir=data_dir, host=host, port=port)
    if not isinstance(settings, Embedded):
        raise CannotStart("`up` is the embedded profile: `beatledger role …` runs a process of the other")
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


def role(
    name: Annotated[ProcessName, typer.Argument(help="What this process does.")],
    host: Host = None,
    port: Port = None,
) -> None:
    """Run one process of the distributed profile; its health probes are on the port, the API there too."""
    from app import roles

    settings = settings_with(host=host, port=port)
    if not isinstance(settings, Distributed):
        raise CannotStart("roles are the distributed profile: set BEATLEDGER_PROFILE=distributed")
    roles.run(name.value, settings, lambda url: typer.echo(f"beatledger {name} is at {url}"))


def migrate(data_dir: DataDir = None) -> None:
    """Bring the servers to what this version needs; `up` does the same before it serves."""
    from app import migration

    match settings := settings_with(data_dir=data_dir):
        case Distributed():
            done = migration.migrate_servers(read_settings(Migration, data_dir=data_dir))
        case Embedded():
            done = migration.migrate_folder(DataFolder(settings.data_dir))
    typer.echo("\n".join(done) or "nothing to do")


def token(
    role: Annotated[list[RoleName], typer.Option(help="May be given more than once.")],
    name: Annotated[str, typer.Option(help="Who will be named in the history.", callback=_line)],
    ttl: Annotated[int, typer.Option(help="Seconds it is valid.", min=1, max=31_536_000)] = 900,
    data_dir: DataDir = None,
) -> None:
    """Print an access token, signed with BEATLEDGER_SECRET or else the secret of the data folder."""
    from api.security.tokens import mint

    secret = secret_of(read_settings(Embedded, data_dir=data_dir))
    roles: list[PersonRole] = [known for known in get_args(PersonRole) if known in role]
    typer.echo(mint(secret, name, roles, timedelta(seconds=ttl)))
