"""processes: the keys that a process manager could not go on with, and healing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from app.cli.local import DataDir, settings_with, with_ports
from app.cli.tables import show

if TYPE_CHECKING:
    from app.ports import Ports
    from commands.process_ports import ParkedKey

cli = typer.Typer(help=__doc__, no_args_is_help=True)


@cli.command()
def parked(data_dir: DataDir = None) -> None:
    """Show the keys whose event or deadline failed, and why; other keys go on."""
    from app.bootstrap import assemble

    settings = settings_with(data_dir=data_dir)

    async def work(ports: Ports) -> list[tuple[str, ParkedKey]]:
        processes = assemble(settings, ports).processes.values()
        return [(process.name, key) for process in processes for key in await process.parked()]

    show(
        ("process", "key", "position", "deadline", "error"),
        (
            (name, key.key, key.position, key.kind or "", key.error)
            for name, key in with_ports(data_dir, work)
        ),
    )


@cli.command()
def replay(data_dir: DataDir = None) -> None:
    """Handle what waits of every parked key, once the cause is mended; exit 1 if any stays parked."""
    from app.bootstrap import assemble

    settings = settings_with(data_dir=data_dir)

    async def work(ports: Ports) -> dict[str, str | None]:
        outcomes: dict[str, str | None] = {}
        for process in assemble(settings, ports).processes.values():
            outcomes |= {f"{process.name} {key}": error for key, error in (await process.replay()).items()}
        return outcomes

    outcomes = with_ports(data_dir, work)
    for key, error in outcomes.items():
        typer.echo(f"{key}: {error or 'healed'}")
    if any(outcomes.values()):
        raise typer.Exit(1)
