"""The longest song that is taken, from file to full map, within the memory promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.audio.analyser import ChildAnalyser
from analysis.result import AnalysisSettings
from analysis.synth import synthesise
from tests.integration.recordings import encoded
from tests.servers.audio_children import audio_children, memory_bytes

pytestmark = pytest.mark.anyio

RATE = 8_000
MOST_BYTES = 300_000_000


async def test_twenty_minutes_take_less_than_300_mb_with_the_child_and_its_imports(tmp_path: Path) -> None:
    """A song of one minute twenty times over, so that making it takes no time."""
    minute = synthesise("rock", 120, 60, seed=2, sample_rate=RATE)
    path = tmp_path / "long"
    path.write_bytes(encoded(np.tile(minute.samples, 20)[:, None], RATE, "FLAC"))
    async with ChildAnalyser(workers=1) as analyser:
        bare = memory_bytes(audio_children(), "VmRSS")
        analysed = await analyser.analyse(path, AnalysisSettings(), lambda *_: None)
        peak = memory_bytes(audio_children(), "VmHWM")
    assert 0 < bare < 100_000_000
    assert peak < MOST_BYTES
    assert peak - bare > 20 * 60 * 22_050 * 4  # the samples at least: the right child was measured
    assert analysed.duration_ms == pytest.approx(1_200_000, abs=1)
    assert analysed.bpm == pytest.approx(120, abs=0.5)
    assert len(analysed.beats_ms) == pytest.approx(2_400, abs=30)
