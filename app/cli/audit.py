"""audit: the history as a file anyone can read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from uuid import UUID

import msgspec
import typer

from adapters.postgres.cannot_start import CannotStart
from app.cli.local import DataDir, with_ports

if TYPE_CHECKING:
    from app.ports import Ports

cli = typer.Typer(help=__doc__, no_args_is_help=True)


@cli.callback()
def group() -> None:
    """audit: the history as a file anyone can read."""


@cli.command()
def export(
    out: Annotated[Path | None, typer.Option(help="A file; without it, standard output.")] = None,
    stream: Annotated[UUID | None, typer.Option(help="One track only.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write every event as a line of JSON (NDJSON), in the order of the log."""

    async def work(ports: Ports, to: BinaryIO) -> int:
        position = count = 0
        while events := await ports.events.read_log(position, stream=stream):
            to.writelines(msgspec.json.encode(event) + b"\n" for event in events)
            position, count = events[-1].position, count + len(events)
        to.flush()
        return count

    if out is None:
        count = with_ports(data_dir, lambda ports: work(ports, sys.stdout.buffer))
    else:
        # Under another name until it is complete: a part of a history must not pass for the whole.
        part = out.with_name(f".{out.name}.part")
        try:
            with part.open("wb") as file:
                count = with_ports(data_dir, lambda ports: work(ports, file))
                os.fsync(file.fileno())
            part.replace(out)
        except OSError as error:
            raise CannotStart(f"{out} can't be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
    typer.echo(f"{count} events", err=True)
