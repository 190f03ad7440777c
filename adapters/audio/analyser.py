"""The Analyser port over child processes, so that a file that breaks a decoder breaks only a child."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from adapters.audio.children import ChildDied, Children, ChildTimedOut
from analysis.result import Analysed, AnalysisSettings
from commands.analysis.ports import (
    AnalysisCrashed,
    Probed,
    UndecodableAudio,
)
from domain.errors import Busy

DEFAULT_CAP_S = 1200.0
"""The longest accepted sound: 49 MB of MP3 can hold 13.9 hours."""

PROBE_LIMIT_S = 6.0
"""An upload waits for at most two that hang: those at work, and those that waited before it."""

_PROBE_BYTES = 100_000_000
_ANALYSIS_BYTES_PER_SOUND_S = 275_000
"""The memory a job may use above its imports, 50 MB: with the default cap less than 500 MB in all."""

_PROBER_IMPORTS = ("adapters.audio.probing",)
_ANALYST_IMPORTS = ("adapters.audio.analysing",)

_ANALYSIS_S_PER_SOUND_S = 0.25
"""The analysis runs at hundreds of times real time; a job that needs a quarter of the longest sound hangs."""


class ChildAnalyser:
    """Probes and analyses in separate children, so that an upload never waits for a long analysis.

    At most `workers` analyses and `probers` probes run at a time, and as many probes wait; `cap_s` is the
    longest accepted sound, in seconds.
    """

    def __init__(self, workers: int | None = None, probers: int = 2, cap_s: float = DEFAULT_CAP_S) -> None:
        analysis_bytes = _PROBE_BYTES + int(cap_s * _ANALYSIS_BYTES_PER_SOUND_S)
        self._analysts = Children(workers or os.cpu_count() or 1, analysis_bytes, _ANALYST_IMPORTS)
        self._probers = Children(probers, _PROBE_BYTES, _PROBER_IMPORTS)
        self._most_probes = 2 * probers
        self._probes = 0
        self._cap_s = cap_s
        self._limit_s = max(60.0, cap_s * _ANALYSIS_S_PER_SOUND_S)

    async def __aenter__(self) -> ChildAnalyser:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the children, so that the first upload does not wait for them."""
        await self._probers.start()
        await self._analysts.start()

    async def close(self) -> None:
        """End the children after the running jobs have ended; cancel the jobs first to be quick."""
        await self._probers.close()
        await self._analysts.close()

    async def probe(self, path: Path) -> Probed:
        """Probe an upload: `commands.ports.Analyser.probe`. Raises Busy when too many wait already."""
        if self._probes >= self._most_probes:
            raise Busy("too many uploads are being looked at: send this one again")
        self._probes += 1
        try:
            return await self._probers.run(
                "adapters.audio.probing:probe", path, self._cap_s, returns=Probed, timeout_s=PROBE_LIMIT_S
            )
        except (ChildDied, ChildTimedOut, MemoryError) as error:
            detail = f"the decoder gave up on this file: {error or 'out of memory'}"
            raise UndecodableAudio("undecodable", detail) from error
        finally:
            self._probes -= 1

    async def analyse(
        self, path: Path, settings: AnalysisSettings, on_progress: Callable[[str, float], None]
    ) -> Analysed:
        """Decode and analyse a file: `commands.ports.Analyser.analyse`."""
        try:
            return await self._analysts.run(
                "adapters.audio.analysing:analyse",
                *(path, settings, self._cap_s),
                returns=Analysed,
                timeout_s=self._limit_s,
                on_progress=on_progress,
            )
        except UndecodableAudio:
            raise
        except ChildTimedOut as error:
            raise AnalysisCrashed("timed_out", str(error)) from error
        except Exception as error:
            # A bug that one recording triggers must fail that attempt, not the worker.
            raise AnalysisCrashed("crashed", str(error) or type(error).__name__) from error
