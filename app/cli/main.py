"""All commands in one list, and the one place where a failure becomes an exit code and a sentence.

Commands import what they run when they run: `beatledger token` should not wait for the server's imports.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib.metadata import version
from typing import Annotated

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
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"beatledger {version('beatledger')}")
        raise typer.Exit


@cli.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """beatledger: songs in, beat grids out, every change on the record."""


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


def run() -> None:
    """Run a command; what the user can mend is said in a sentence, everything else is a traceback."""
    # Of every command: structlog left alone writes to standard output, into the history that is exported.
    configure_logging()
    try:
        cli()
    except (CannotStart, LedgerError) as error:
        typer.secho(f"beatledger: {error}", fg="red", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        typer.secho(f"beatledger: cannot write the output: {error.strerror}", fg="red", err=True)
        # Python would flush what is left of it at the exit, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
