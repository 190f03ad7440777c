"""A graph template can be walked: one song, its sections and bars, in order and inside the song."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from analysis.genesis_map import read_map, render
from analysis.graph_document import Edge, GraphTemplate, InvalidGraph, Node, json_schema, validate
from analysis.graph_template import graph_template
from analysis.map_document import GenesisMap, GlobalMetrics
from analysis.pipeline import analyse
from analysis.result import AnalysisSettings
from analysis.spectrum import Floats
from analysis.synth import synthesise

RATE = 22_050
SCHEMA = Path(__file__).parents[3] / "docs/schemas/graph-template-1.0.0.json"


def map_of(samples: Floats) -> GenesisMap:
    analysed = analyse(samples, AnalysisSettings(), lambda _stage, _percent: None)
    made = render(
        analysed,
        track_id="t",
        version=1,
        filename="f.wav",
        timestamp="2026-01-02T03:04:05Z",
        audio_sha256="ab" * 32,
        metrics=GlobalMetrics(analysed.duration_ms, analysed.bpm),
    )
    return read_map(made.content)


@pytest.fixture(scope="module")
def two_parts() -> GraphTemplate:
    """A song whose second half, from the ninth bar on, is much quieter."""
    song = synthesise("rock", 120, 36, sample_rate=RATE)
    samples = song.samples.copy()
    samples[int((song.downbeats_ms[8] - 30) * RATE / 1000) :] *= 0.15
    return graph_template(map_of(samples))


def of_kind(graph: GraphTemplate, kind: str) -> list[Node]:
    return [node for node in graph.nodes if node.kind == kind]


def test_a_section_begins_where_the_music_changes(two_parts: GraphTemplate) -> None:
    starts = [section.start_ms for section in of_kind(two_parts, "section")]
    assert len(starts) == 2
    assert starts[1] == pytest.approx(350 + 8 * 2000, abs=30)


def test_energy_tells_the_loud_part_from_the_quiet_one(two_parts: GraphTemplate) -> None:
    loud, quiet = (section.energy or 0.0 for section in of_kind(two_parts, "section"))
    assert quiet < 0.3 * loud
    assert max(bar.energy or 0.0 for bar in of_kind(two_parts, "bar")) == 1.0


def test_sections_fill_the_song_and_bars_follow_each_other(two_parts: GraphTemplate) -> None:
    sections, bars = of_kind(two_parts, "section"), of_kind(two_parts, "bar")
    assert (sections[0].start_ms, sections[-1].end_ms) == (0.0, two_parts.duration_ms)
    assert np.diff([bar.start_ms for bar in bars]) == pytest.approx(2000, abs=30)
    contained = [edge for edge in two_parts.edges if edge.kind == "contains"]
    assert len(contained) == len(sections) + len(bars)


def test_silence_is_a_song_of_one_section_without_bars() -> None:
    graph = graph_template(map_of(np.zeros(5 * RATE, np.float32)))
    assert [node.kind for node in graph.nodes] == ["song", "section"]
    assert graph.nodes[0].energy is None


def test_a_song_that_never_changes_has_one_section() -> None:
    graph = graph_template(map_of(synthesise("edm", 128, 30, sample_rate=RATE).samples))
    assert len(of_kind(graph, "section")) == 1


def valid() -> GraphTemplate:
    nodes = [
        Node("song", "song", 0, 100),
        Node("a", "section", 0, 50),
        Node("b", "section", 50, 100),
        Node("x", "bar", 10, 20),
    ]
    edges = [
        Edge("song", "a", "contains"),
        Edge("song", "b", "contains"),
        Edge("a", "x", "contains"),
        Edge("a", "b", "next"),
    ]
    return GraphTemplate("1.0.0", "t", 1, "ab" * 32, 100, nodes, edges)


BROKEN: list[tuple[str, list[Node], list[Edge]]] = [
    ("share an id", [Node("a", "section", 0, 50)], []),
    ("inside the song", [Node("late", "bar", 90, 101)], []),
    ("not there", [], [Edge("a", "nowhere", "next")]),
    ("does not contain", [], [Edge("x", "a", "contains")]),
    ("inside the whole", [Node("y", "bar", 60, 70)], [Edge("a", "y", "contains")]),
    ("forwards in time", [], [Edge("b", "a", "next")]),
    ("forwards in time", [], [Edge("a", "a", "next")]),
    ("forwards in time", [Node("y", "bar", 20, 20), Node("z", "bar", 20, 20)], [Edge("y", "z", "next")]),
    ("contained 0 times", [Node("alone", "bar", 10, 20)], []),
    ("contained 2 times", [], [Edge("a", "x", "contains")]),
    ("2 song nodes", [Node("other", "song", 0, 100)], []),
    ("two neighbours", [], [Edge("a", "b", "next")]),
]


@pytest.mark.parametrize(("reason", "nodes", "edges"), BROKEN)
def test_a_template_that_cannot_be_played_is_refused(
    reason: str, nodes: list[Node], edges: list[Edge]
) -> None:
    validate(valid())
    broken = msgspec.structs.replace(valid(), nodes=valid().nodes + nodes, edges=valid().edges + edges)
    with pytest.raises(InvalidGraph, match=reason):
        validate(broken)


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """Make it again with `make contracts`."""
    assert SCHEMA.read_bytes() == json_schema()
