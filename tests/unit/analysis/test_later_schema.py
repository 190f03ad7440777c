"""The example map of schema 5.0.0, which nobody has built yet: what reads 4.0.0 reads it, with no migration.

It adds fields in every part, a band and two layers; it drops the optional onsets, tempo curve and spectral
layer, counts bars in three, and has one value a second where 4.0.0 has 21.5.
"""

import json
from pathlib import Path

import pytest

from analysis.genesis_map import hash_of, read_map, read_metadata, with_grid
from analysis.graph_document import validate
from analysis.graph_template import graph_template
from analysis.map_document import GlobalMetrics

CONTENT = (Path(__file__).parents[3] / "docs/schemas/examples/genesis-map-5.0.0.json").read_bytes()
METRICS = GlobalMetrics(12_350.0, 60.0)


def test_all_that_is_known_of_it_is_read() -> None:
    map_ = read_map(CONTENT)
    assert map_.schema_version == "5.0.0"
    assert read_metadata(CONTENT) == map_.metadata
    assert (map_.metadata.filename, map_.metadata.settings.preset) == ("waltz.flac", "classical")
    assert (map_.global_metrics.bpm, map_.global_metrics.f_measure) == (120.0, 0.98)
    rhythm = map_.layers.rhythm
    assert (len(rhythm.beat_grid_ms), len(rhythm.downbeat_ms), rhythm.beats_per_bar) == (24, 8, 3)
    assert (rhythm.onset_ms, rhythm.tempo_curve, map_.layers.spectral) == (None, None, None)
    assert map_.layers.frequency is not None
    assert map_.layers.frequency.bass.values[2] == 1.0
    assert map_.layers.dynamics is not None
    assert (map_.layers.dynamics.rms.rate_hz, map_.layers.dynamics.integrated_lufs) == (1.0, -16.4)


def test_its_hash_is_checked_by_the_same_rule_and_covers_what_it_added() -> None:
    assert hash_of(CONTENT) == read_map(CONTENT).metadata.hashes.map_sha256
    document = json.loads(CONTENT)
    document["layers"]["harmony"]["chords"][0]["label"] = "A:maj"
    assert hash_of(json.dumps(document).encode()) != hash_of(CONTENT)


def test_devices_get_a_graph_of_it() -> None:
    graph = graph_template(read_map(CONTENT))
    validate(graph)
    bars = [node for node in graph.nodes if node.kind == "bar"]
    assert (len(bars), bars[1].start_ms) == (8, 1850.0)
    assert bars[0].energy == pytest.approx(1.0, abs=0.25)
    assert (bars[-1].energy or 1.0) < 0.3


def test_a_correction_of_it_loses_nothing_it_added() -> None:
    beats = read_map(CONTENT).layers.rhythm.beat_grid_ms[::2]
    made = with_grid(
        CONTENT, version=2, timestamp="t", beats_ms=beats, downbeats_ms=beats[::3], metrics=METRICS
    )
    before, after = json.loads(CONTENT), json.loads(made.content)
    assert after["layers"].keys() == before["layers"].keys()
    assert {name: after["layers"][name] for name in ("harmony", "lyrics", "frequency")} == {
        name: before["layers"][name] for name in ("harmony", "lyrics", "frequency")
    }
    assert (after["layers"]["rhythm"]["swing"], after["globalMetrics"]["key"]) == (0.58, "A minor")
    assert (after["schemaVersion"], after["metadata"]["tool"]) == ("5.0.0", {"name": "studio", "build": 71})
    assert read_map(made.content).layers.rhythm.source == "override"
