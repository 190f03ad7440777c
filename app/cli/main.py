"""All commands in one list, and the one place where a failure becomes an exit code and a sentence.

Commands import what they run when they run: `beatledger token` should not wait for the server's imports.
"""

from __future__ import annotations

import sys

import typer

from adapters.postgres.cannot_start import CannotStart
from app.cli import analyse, audit, demo, jobs, processes, projections, server
from app.logging import configure_logging
from domain.errors import LedgerError

cli = typer.Typer(
    help="beatledger: songs in, beat grids out, every change on the record.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli.command("up")(server.up)
cli.command("role")(server.role)
cli.command("migrate")(server.migrate)
cli.command("token")(server.token)
cli.command("demo")(demo.demo)
cli.command("analyse")(analyse.analyse)
cli.add_typer(projections.cli, name="projections")
cli.add_typer(processes.cli, name="processes")
cli.add_typer(jobs.cli, name="jobs")
cli.add_typer(audit.cli, name="audit")


def main() -> None:
    """Run a command; what the user can mend is said in a sentence, everything else is a traceback."""
    # Of every command: structlog left alone writes to standard output, into the history that is exported.
    configure_logging()
    try:
        cli()
    except (CannotStart, LedgerError) as error:
        typer.secho(f"beatledger: {error}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
