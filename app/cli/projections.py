"""projections: how far each view is, rebuilding one, and healing what is parked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.local import DataDir, settings_with, with_ports
from app.cli.tables import show
from domain.events import REGISTRY
from projections.documents import Stored
from projections.views import VIEWS

if TYPE_CHECKING:
    from app.ports import Ports

cli = typer.Typer(help=__doc__, no_args_is_help=True)

BY_NAME = {view.name: view for view in VIEWS}


@cli.command("list")
def list_views(data_dir: DataDir = None) -> None:
    """Show each view: what serves, how far it is, what is parked."""
    from app.bootstrap import assemble

    settings = settings_with(data_dir=data_dir)
    statuses = with_ports(data_dir, lambda ports: assemble(settings, ports).views.status())
    show(
        ("view", "version", "generation", "building", "lag (events)", "lag (s)", "parked"),
        (
            (v.view, v.version, v.generation, v.building, v.lag_events, f"{v.lag_s:.1f}", v.parked)
            for v in statuses
        ),
    )


@cli.command()
def rebuild(name: Annotated[str, typer.Argument(help=", ".join(BY_NAME))], data_dir: DataDir = None) -> None:
    """Build a view anew from the log, beside the one that serves, and switch to it."""
    from app.bootstrap import assemble

    if name not in BY_NAME:
        raise typer.BadParameter(f"there is no view {name}; there are {', '.join(BY_NAME)}")
    settings = settings_with(data_dir=data_dir)
    generation = with_ports(data_dir, lambda ports: assemble(settings, ports).projections.rebuild(name))
    typer.echo(f"{name} is served from generation {generation.number}")


@cli.command()
def parked(data_dir: DataDir = None) -> None:
    """Show the streams that a view could not go on with, and why."""

    async def work(ports: Ports) -> list[tuple[str, Stored]]:
        found: list[tuple[str, Stored]] = []
        for name in BY_NAME:
            if (standing := await ports.documents.standing(name)) is not None:
                found += [(name, stored) for stored in await ports.documents.parked(standing.generation)]
        return found

    show(
        ("view", "stream", "revision", "position", "error"),
        (
            (name, stored.id, stored.parked.revision, stored.parked.position, stored.parked.error)
            for name, stored in with_ports(data_dir, work)
            if stored.parked
        ),
    )


@cli.command()
def replay(data_dir: DataDir = None) -> None:
    """Fold every parked stream again, once the cause is mended; exit 1 if any stays parked."""

    from projections.replay import replay_all

    async def work(ports: Ports) -> dict[str, str | None]:
        outcomes: dict[str, str | None] = {}
        for name, view in BY_NAME.items():
            replayed = await replay_all(view, ports.documents, ports.events, REGISTRY)
            outcomes |= {f"{name} {stream}": left and left.error for stream, left in replayed.items()}
        return outcomes

    outcomes = with_ports(data_dir, work)
    for stream, error in outcomes.items():
        typer.echo(f"{stream}: {error or 'healed'}")
    if any(outcomes.values()):
        raise typer.Exit(1)
