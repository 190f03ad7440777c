"""An analysis that does as its "audio" says, in a real child: works, waits, crashes, hangs, or cannot decode.

The audio is JSON. Its `do` says what the first, second, .. run of this file does, the last for all others.
Its `folder` counts the runs: each leaves its process id there as `child-N`; who waits, waits for `go` there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from adapters.audio.children import ChildDied, Children, ChildTimedOut
from adapters.audio.reader import too_long
from analysis.result import Analysed, AnalysisSettings
from commands.analysis.ports import (
    AnalysisCrashed,
    Probed,
)

BEATS = tuple(500.0 * n for n in range(1, 21))


def audio(folder: Path, *do: str) -> bytes:
    """A song that does this, run by run."""
    (runs := folder / uuid4().hex).mkdir()
    return json.dumps({"folder": str(runs), "do": do}).encode()


def analyse(path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]) -> Analysed:
    """Run in the child."""
    script = json.loads(path.read_bytes())
    folder = Path(script["folder"])
    run = len(list(folder.glob("child-*")))
    (folder / f"child-{run}").write_text(str(os.getpid()))
    on_progress("beats", 50.0)
    match script["do"][min(run, len(script["do"]) - 1)]:
        case "wait":
            while not (folder / "go").exists():
                time.sleep(0.01)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "refuse":
            raise too_long(1200)
    rhythm = {
        "source": "analysis",
        "beatGridMs": list(BEATS),
        "downbeatMs": [],
        "beatStrength": [1.0] * len(BEATS),
    }
    made_with = {"preset": settings.preset, "bpm_hint": settings.bpm_hint, "engine": settings.engine}
    return Analysed("scripted 1", made_with, 11_000.0, 120.0, BEATS, (), {"rhythm": rhythm}, None)


class ScriptedAnalyser:
    """The Analyser port over real children that run the script, for at most `limit_s`."""

    def __init__(self, workers: int, limit_s: float = 60.0) -> None:
        self._children = Children(workers, memory_bytes=500_000_000)
        self._limit_s = limit_s

    async def __aenter__(self) -> ScriptedAnalyser:
        await self._children.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._children.close()

    async def probe(self, path: Path) -> Probed:
        raise NotImplementedError

    async def analyse(
        self, path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]
    ) -> Analysed:
        try:
            return await self._children.run(
                "tests.integration.scripted_analysis:analyse",
                *(path, settings),
                returns=Analysed,
                timeout_s=self._limit_s,
                on_progress=on_progress,
            )
        except ChildDied as error:
            raise AnalysisCrashed("crashed", str(error)) from error
        except ChildTimedOut as error:
            raise AnalysisCrashed("timed_out", str(error)) from error


async def child_of(song: bytes, run: int = 0, within_s: float = 10) -> int:
    """Return the process id of a song's run, once it runs."""
    note = Path(json.loads(song)["folder"]) / f"child-{run}"
    async with asyncio.timeout(within_s):
        while not (note.exists() and (pid := note.read_text())):
            await asyncio.sleep(0.01)
    return int(pid)


def runs_of(song: bytes) -> int:
    return len(list(Path(json.loads(song)["folder"]).glob("child-*")))


def let_go(song: bytes) -> None:
    """Let the runs that wait come to their end."""
    (Path(json.loads(song)["folder"]) / "go").touch()
