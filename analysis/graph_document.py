"""The graph template 1.0.0 as types, and the rules a template must keep to be played.

`docs/schemas` holds the JSON Schema generated from here (by `make contracts`).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION = "1.0.0"


class InvalidGraph(ValueError):
    """The template breaks a rule; the text says which and where."""


class Node(msgspec.Struct, frozen=True, rename="camel"):
    """A stretch of the song: the whole, a section or a bar.

    `energy` is its RMS amplitude relative to the loudest bar; null where the map has no levels.
    """

    id: str
    kind: Literal["song", "section", "bar"]
    start_ms: Annotated[float, Meta(ge=0)]
    end_ms: Annotated[float, Meta(ge=0)]
    energy: Annotated[float, Meta(ge=0, le=1)] | None = None


class Edge(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """`contains`: a longer stretch to its parts. `next`: a stretch to the one played after it."""

    source: str
    target: str
    kind: Literal["contains", "next"]


class GraphTemplate(msgspec.Struct, frozen=True, rename="camel"):
    """What a playing device walks: song, sections and bars as nodes, in a tree and in order."""

    schema_version: str
    track_id: str
    version: int
    map_sha256: str
    duration_ms: float
    nodes: list[Node]
    edges: list[Edge]


def validate(graph: GraphTemplate) -> None:
    """Raise InvalidGraph unless the template can be played.

    One song holds everything (connected, each other node contained once); times lie inside the song and the
    container; `next` joins stretches of one kind, forwards in time, at most once each. So no cycle can
    be made of either kind of edge.
    """
    nodes = {node.id: node for node in graph.nodes}
    if len(nodes) != len(graph.nodes):
        raise InvalidGraph("two nodes share an id")
    for node in graph.nodes:
        if not 0 <= node.start_ms <= node.end_ms <= graph.duration_ms:
            raise InvalidGraph(f"node {node.id} is not inside the song")
    for edge in graph.edges:
        if edge.source not in nodes or edge.target not in nodes:
            raise InvalidGraph(f"edge {edge.source} -> {edge.target} names a node that is not there")
        _check(edge, nodes[edge.source], nodes[edge.target])
    _check_degrees(graph)


_INSIDE = {"section": "song", "bar": "section"}


def _check(edge: Edge, source: Node, target: Node) -> None:
    where = f"edge {source.id} -> {target.id}"
    if edge.kind == "contains":
        if _INSIDE.get(target.kind) != source.kind:
            raise InvalidGraph(f"{where}: a {source.kind} does not contain a {target.kind}")
        if not source.start_ms <= target.start_ms <= target.end_ms <= source.end_ms:
            raise InvalidGraph(f"{where}: the part is not inside the whole")
    elif source.kind != target.kind or not source.start_ms < target.start_ms >= source.end_ms:
        raise InvalidGraph(f"{where}: next leads forwards in time, between stretches of one kind")


def _check_degrees(graph: GraphTemplate) -> None:
    """With one root, and one container for every other node, containment is a tree that reaches all."""
    containers = Counter(edge.target for edge in graph.edges if edge.kind == "contains")
    roots = [node.id for node in graph.nodes if node.kind == "song"]
    if len(roots) != 1:
        raise InvalidGraph(f"there are {len(roots)} song nodes, not one")
    for node in graph.nodes:
        if containers[node.id] != (0 if node.kind == "song" else 1):
            raise InvalidGraph(f"node {node.id} is contained {containers[node.id]} times")
    nexts = [edge for edge in graph.edges if edge.kind == "next"]
    for ends in ([edge.source for edge in nexts], [edge.target for edge in nexts]):
        if len(ends) != len(set(ends)):
            raise InvalidGraph("a node has two neighbours on one side")


def json_schema() -> bytes:
    """Return the published JSON Schema (2020-12), indented."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Graph template {SCHEMA_VERSION}",
        **msgspec.json.schema(GraphTemplate),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
