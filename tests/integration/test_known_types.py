"""msgspec crashes where two threads meet a type for the first time: ours are known before that."""

from __future__ import annotations

import subprocess
import sys

import pytest

RACE = """
import sys, threading
import msgspec
from analysis.genesis_map import read_map, read_metadata
from commands.reference_jams import parse_jams
from domain.track.decider import TRACK
from commands.versions import _decode_manifest, _decode_metrics
from domain.events import REGISTRY

MAP = b'{"schemaVersion": "4.0.0", "version": 1, "metadata": {}, "layers": {"rhythm": {}}}'
JAMS = b'{"annotations": [{"namespace": "beat", "data": [{"time": 1.0}]}]}'
READERS = (
    *((lambda read=read: read(MAP)) for read in (read_map, read_metadata, _decode_manifest, _decode_metrics)),
    *((lambda kind=kind: msgspec.convert({}, kind.shape)) for kind in REGISTRY.types.values()),
    lambda: msgspec.convert({}, TRACK.state),
    lambda: parse_jams(JAMS),
)

def read_all():
    together.wait()
    for read in READERS:
        try:
            read()
        except msgspec.ValidationError:
            pass

sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
threads = [threading.Thread(target=read_all) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("run", range(8))
def test_eight_threads_that_begin_at_once_read_every_type(run: int) -> None:
    """Without the Decoders made at import four runs of ten ended in a segmentation fault."""
    assert subprocess.run([sys.executable, "-c", RACE], check=False).returncode == 0
