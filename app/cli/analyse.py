"""analyse: the analysis alone, with no server and no data folder: how most people try the product first."""

from __future__ import annotations

import math
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from analysis.result import AnalysisSettings, Engine, Preset
from app.cli.batch import Batch, Mapped, Unmapped
from app.cli.batch_progress import BatchProgress, printable, summary
from app.cli.map_folder import MapFolder
from app.settings import Settings


def _tempo(bpm: float | None) -> float | None:
    if bpm is not None and math.isnan(bpm):
        raise typer.BadParameter("nan is no tempo")
    return bpm


def _made(out: Path | None) -> Path | None:
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{out} can't be made a folder: {error.strerror}") from error
    return out


def analyse(
    files: Annotated[list[Path], typer.Argument(help="Recordings: WAV, MP3, FLAC or OGG.")],
    out: Annotated[
        Path | None, typer.Option(help="A folder for a NAME.genesis-map.json of each file.", callback=_made)
    ] = None,
    preset: Annotated[Preset, typer.Option(help="The kind of music, if you know.")] = "auto",
    bpm_hint: Annotated[
        float | None, typer.Option(help="About its tempo, if you know.", min=20, max=400, callback=_tempo)
    ] = None,
    engine: Annotated[Engine, typer.Option(help="aubio: plain aubio.tempo, to compare.")] = "beatledger",
    jobs: Annotated[
        int | None, typer.Option(help="Files at once; one a core if not given.", min=1, max=64)
    ] = None,
) -> None:
    """Find the beats of recordings and write their Genesis Maps, without a server.

    The maps go to standard output, one a line in the order of the files (NDJSON), or with --out into a
    folder, where files of the same name are numbered: song, song-2. What was found is told on standard error.

    Exit code: 0 when every file has its map; 1 when some have none, each told with its reason; 2 when the
    command itself is wrong.
    """
    folder = MapFolder(out, files) if out else None
    batch = Batch(
        AnalysisSettings(preset, bpm_hint, engine),
        workers=min(len(files), jobs or os.cpu_count() or 1),
        cap_s=Settings().max_audio_minutes * 60,
        keep=folder.keep if folder else None,
    )
    if not _run(batch, files, folder):
        raise typer.Exit(1)


def _run(batch: Batch, files: list[Path], folder: MapFolder | None) -> bool:
    """Hand out what comes of each file, and say whether all have a map."""
    failed = 0
    with BatchProgress(files) as progress, closing(batch.run(files, progress)) as outcomes:
        for number, outcome in enumerate(outcomes):
            name = printable(files[number])
            match outcome:
                case Unmapped(reason):
                    failed += 1
                    progress.say(f"{name}: failed: {reason}")
                case Mapped(line=line):
                    if folder is None:
                        _write(line, progress)
                    else:
                        name += f" → {printable(folder.paths[number])}"
                    progress.say(f"{name}: {summary(outcome)}")
        if failed and len(files) > 1:
            progress.say(f"{failed} of {len(files)} files have no map")
    return not failed


def _write(line: bytes, progress: BatchProgress) -> None:
    """Write a map to standard output; what a full disk or a closed pipe refuses ends the command."""
    rest = memoryview(line)
    try:
        with progress.out_of_the_way():
            # Not by sys.stdout: what its buffer kept would be tried again, on Ctrl-C and at the exit.
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except BrokenPipeError:
        raise  # typer's: the reader has seen enough
    except OSError as error:
        progress.say(f"standard output: {error.strerror}")
        raise typer.Exit(1) from error
