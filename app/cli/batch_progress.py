"""What a person sees of a batch on standard error: a line for each file, on a terminal bars besides."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.cli.batch import Mapped


class BatchProgress:
    """Bars on a terminal, one for each file at work and one for all of them; lines everywhere."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._at_work: dict[int, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not sys.stderr.isatty(),
        )
        self._all = self._bars.add_task(f"{len(files)} files", total=len(files), visible=len(files) > 1)

    def __enter__(self) -> BatchProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def progressed(self, number: int, stage: str, percent: float) -> None:
        """Show how far a file is: `app.cli.batch.Listener`."""
        if number not in self._at_work:
            self._at_work[number] = self._bars.add_task("", total=100)
        self._bars.update(
            self._at_work[number],
            completed=percent,
            description=f"{printable(self._files[number].name)}: {stage}",
        )

    def ended(self, number: int) -> None:
        """Take away a file's bar: `app.cli.batch.Listener`."""
        if number in self._at_work:
            self._bars.remove_task(self._at_work.pop(number))
        self._bars.advance(self._all)

    @contextmanager
    def out_of_the_way(self) -> Generator[None]:
        """Take the bars off the terminal for as long as something else is written to it."""
        self._bars.stop()
        yield
        self._bars.start()

    def say(self, line: str) -> None:
        """Write a line, above the bars, uncut."""
        self._bars.console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def printable(name: str | Path) -> str:
    """Return a file's name without what would steer a terminal."""
    return str(name) if str(name).isprintable() else ascii(str(name))


def summary(mapped: Mapped) -> str:
    """Return what was found in a recording, in a line: figures, cost and what is to be known of it."""
    analysed, seconds = mapped.analysed, mapped.analysed.duration_ms / 1000
    agreed = analysed.agreement
    found = (
        "no tempo" if analysed.bpm is None else f"{analysed.bpm:.1f} BPM",
        "no agreement" if agreed is None else f"agreement F {agreed.f_measure:.2f}",
        f"{len(analysed.beats_ms)} beats",
        f"{seconds:.1f} s in {mapped.took_s:.2f} s ({seconds / mapped.took_s:.0f} × real time)",
    )
    return "; ".join((", ".join(found), *analysed.warnings))
