"""The map says what was found, hashes it, and stays readable when the schema moves on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.genesis_map import RenderedMap, hash_of, read_map, render, with_grid
from analysis.map_document import GlobalMetrics, MetricsReference, earlier_json_schema, json_schema
from analysis.pipeline import analyse
from analysis.result import Analysed, AnalysisSettings
from analysis.synth import synthesise

METRICS = GlobalMetrics(
    20_000.0, 128.0, 0.99, 0.98, "self-agreement", MetricsReference("agreement", "x+y", 80)
)
SCHEMA = Path(__file__).parents[3] / "docs/schemas/genesis-map-4.1.0.json"


@pytest.fixture(scope="module")
def analysed() -> Analysed:
    song = synthesise("edm", 128, 20, sample_rate=22_050)
    return analyse(song.samples, AnalysisSettings(preset="edm", bpm_hint=128), lambda _stage, _percent: None)


def rendered(analysed: Analysed, **other: Any) -> RenderedMap:
    given: dict[str, Any] = {
        "track_id": "0190a0b0-0000-7000-8000-000000000001",
        "version": 1,
        "filename": "song.wav",
        "timestamp": "2026-01-02T03:04:05Z",
        "audio_sha256": "ab" * 32,
        "metrics": METRICS,
    }
    return render(analysed, **(given | other))


def test_a_map_read_back_is_what_was_rendered(analysed: Analysed) -> None:
    map_ = read_map(rendered(analysed).content)
    assert map_.schema_version == "4.1.0"
    assert map_.metadata.filename == "song.wav"
    assert map_.metadata.analysis_engine == analysed.engine
    assert map_.metadata.settings.bpm_hint == 128
    assert map_.global_metrics == METRICS
    assert tuple(map_.layers.rhythm.beat_grid_ms) == analysed.beats_ms
    assert map_.layers.rhythm.source == "analysis"


def test_the_hash_is_that_of_what_was_found_whatever_the_track_is_called(analysed: Analysed) -> None:
    first = rendered(analysed)
    renamed = rendered(
        analysed, filename="other.mp3", track_id="t2", version=7, timestamp="2027-01-01T00:00:00Z"
    )
    assert renamed.content != first.content
    assert renamed.map_sha256 == first.map_sha256 == hash_of(first.content)
    assert read_map(first.content).metadata.hashes.map_sha256 == first.map_sha256


@pytest.mark.parametrize("change", [{"audio_sha256": "cd" * 32}, {"metrics": GlobalMetrics(20_000.0, 127.0)}])
def test_other_audio_or_other_figures_give_another_hash(analysed: Analysed, change: dict[str, Any]) -> None:
    assert rendered(analysed, **change).map_sha256 != rendered(analysed).map_sha256


def test_a_map_that_was_tampered_with_no_longer_has_its_hash(analysed: Analysed) -> None:
    document = json.loads(rendered(analysed).content)
    document["layers"]["rhythm"]["beatGridMs"][3] += 1
    assert hash_of(json.dumps(document).encode()) != document["metadata"]["hashes"]["mapSha256"]


def test_a_grid_made_by_hand_claims_nothing_that_only_the_audio_could_tell(analysed: Analysed) -> None:
    beats = tuple(beat + 10 for beat in analysed.beats_ms[::2])
    scored = GlobalMetrics(
        20_000.0, 64.0, 0.5, 0.4, "user-reference", MetricsReference("override", None, len(beats))
    )
    made = with_grid(
        rendered(analysed).content,
        version=2,
        timestamp="t",
        beats_ms=beats,
        downbeats_ms=beats[::4],
        metrics=scored,
    )
    map_ = read_map(made.content)
    assert (map_.version, map_.global_metrics) == (2, scored)
    rhythm = map_.layers.rhythm
    assert (rhythm.source, tuple(rhythm.beat_grid_ms), tuple(rhythm.downbeat_ms)) == (
        "override",
        beats,
        beats[::4],
    )
    assert (rhythm.beat_strength, rhythm.beats_per_bar) == (None, None)
    assert (rhythm.confidence, rhythm.alternatives) == (None, None)
    assert rhythm.onset_ms == json.loads(rendered(analysed).content)["layers"]["rhythm"]["onsetMs"]
    assert rhythm.tempo_curve is not None
    assert rhythm.tempo_curve.values[0] == pytest.approx(64, abs=0.5)
    assert hash_of(made.content) == made.map_sha256


def test_going_back_to_the_analysis_gives_its_hash_again(analysed: Analysed) -> None:
    first = rendered(analysed)
    back = with_grid(
        first.content,
        version=3,
        timestamp="later",
        beats_ms=analysed.beats_ms,
        downbeats_ms=analysed.downbeats_ms,
        metrics=METRICS,
    )
    assert back.map_sha256 == first.map_sha256


def test_maps_from_before_confidences_are_read_and_corrected_as_they_are(analysed: Analysed) -> None:
    document = json.loads(rendered(analysed).content)
    document["schemaVersion"] = "4.0.0"
    for name in ("confidence", "alternatives"):
        del document["layers"]["rhythm"][name]
    old = json.dumps(document).encode()
    assert read_map(old).layers.rhythm.confidence is None
    made = with_grid(
        old, version=2, timestamp="t", beats_ms=(1.0, 2.0), downbeats_ms=(), metrics=METRICS
    ).content
    assert json.loads(made)["schemaVersion"] == "4.0.0"
    assert read_map(made).layers.rhythm.alternatives is None


def test_the_schema_of_old_maps_is_the_one_that_was_published() -> None:
    published = SCHEMA.with_name("genesis-map-4.0.0.json").read_bytes()
    assert published == earlier_json_schema()
    assert hashlib.sha256(published).hexdigest().startswith("cdaf68296b1bab0a")


def version_five(analysed: Analysed) -> bytes:
    document = json.loads(rendered(analysed).content)
    document["schemaVersion"] = "5.0.0"
    document["layers"]["lyrics"] = {"language": "en", "lines": []}
    document["layers"]["rhythm"]["swing"] = 0.6
    document["globalMetrics"]["key"] = "A minor"
    document["metadata"]["studio"] = "x"
    return json.dumps(document).encode()


def test_a_map_of_schema_version_five_is_read_without_a_migration(analysed: Analysed) -> None:
    map_ = read_map(version_five(analysed))
    assert map_.schema_version == "5.0.0"
    assert tuple(map_.layers.rhythm.beat_grid_ms) == analysed.beats_ms


def test_another_grid_keeps_what_a_later_schema_added(analysed: Analysed) -> None:
    made = with_grid(
        version_five(analysed),
        version=2,
        timestamp="t",
        beats_ms=(1.0, 2.0),
        downbeats_ms=(),
        metrics=METRICS,
    )
    document = json.loads(made.content)
    assert document["schemaVersion"] == "5.0.0"
    assert document["layers"]["lyrics"] == {"language": "en", "lines": []}
    assert document["layers"]["rhythm"]["swing"] == 0.6
    assert document["globalMetrics"]["key"] == "A minor"
    assert document["metadata"]["studio"] == "x"


def test_every_layer_but_rhythm_may_be_missing(analysed: Analysed) -> None:
    document = json.loads(rendered(analysed).content)
    document["layers"] = {"rhythm": document["layers"]["rhythm"]}
    map_ = read_map(json.dumps(document).encode())
    assert (map_.layers.frequency, map_.layers.dynamics, map_.layers.spectral) == (None, None, None)


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """Make it again with `make contracts`."""
    assert SCHEMA.read_bytes() == json_schema()


def test_every_field_of_a_layer_is_described_with_its_unit() -> None:
    parts = json.loads(SCHEMA.read_bytes())["$defs"]
    curves = {
        name: field for part in ("Dynamics", "Spectral") for name, field in parts[part]["properties"].items()
    }
    for part in ("Rhythm", "Frequency", "Dynamics", "Spectral"):
        assert all(field.get("description") for field in parts[part]["properties"].values()), part
    units = ("dBFS", "LUFS", "LU", "Hz", "ratio", "relative")
    assert [name for name, field in curves.items() if not field["description"].startswith(units)] == []
