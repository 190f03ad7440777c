"""Generating a graph template from a Genesis Map: bars from downbeats, sections where the music changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.graph_document import SCHEMA_VERSION, Edge, GraphTemplate, Node, validate
from analysis.map_document import Envelope, GenesisMap, Layers

Doubles = NDArray[np.float64]
Stretch = tuple[float, float]

_KERNEL_BARS = 8
_SHORTEST_BARS = 4
_THRESHOLD_DB = 3.0
_QUIETEST_DB = -50.0


def graph_template(map_: GenesisMap) -> GraphTemplate:
    """Return the validated template of a map. Without downbeats the song is one section without bars."""
    duration = map_.global_metrics.duration_ms
    bars = _bars(map_.layers.rhythm.downbeat_ms, duration)
    firsts = _section_starts(bars, map_.layers)
    sections = _sections(firsts, bars, duration)
    energies = _Energies(map_.layers, bars)
    nodes = [Node("song", "song", 0.0, duration, energies.of((0.0, duration)))]
    edges: list[Edge] = []
    parts: tuple[tuple[Literal["section", "bar"], list[Stretch]], ...] = (
        ("section", sections),
        ("bar", bars),
    )
    for kind, stretches in parts:
        names = [f"{kind}-{i}" for i in range(1, len(stretches) + 1)]
        nodes += [Node(n, kind, *s, energies.of(s)) for n, s in zip(names, stretches, strict=True)]
        edges += [Edge(a, b, "next") for a, b in pairwise(names)]
    edges += [Edge("song", f"section-{i}", "contains") for i in range(1, len(sections) + 1)]
    for bar in range(len(bars)):
        section = int(np.searchsorted(firsts, bar, side="right"))
        edges.append(Edge(f"section-{section}", f"bar-{bar + 1}", "contains"))
    hash_ = map_.metadata.hashes.map_sha256
    graph = GraphTemplate(SCHEMA_VERSION, map_.track_id, map_.version, hash_, duration, nodes, edges)
    validate(graph)
    return graph


def _bars(downbeats_ms: list[float], duration_ms: float) -> list[Stretch]:
    """Return bars from each downbeat to the next; the last is as long as the one before, if there is room."""
    inside = [at for at in downbeats_ms if at < duration_ms]
    if len(inside) < 2:
        return []
    last = min(inside[-1] + inside[-1] - inside[-2], duration_ms)
    return list(pairwise([*inside, last]))


def _sections(firsts: list[int], bars: list[Stretch], duration_ms: float) -> list[Stretch]:
    """Return sections that fill the song, changing at the first bars given."""
    return list(pairwise([0.0, *(bars[first][0] for first in firsts[1:]), duration_ms]))


def _section_starts(bars: list[Stretch], layers: Layers) -> list[int]:
    """Return the first bar of each section: the peaks of Foote's novelty (2000) over the bars' features."""
    novelty = _novelty(_features(bars, layers))
    starts = [0]
    for bar in range(_SHORTEST_BARS, len(bars) - _SHORTEST_BARS + 1):
        near = novelty[bar - _SHORTEST_BARS : bar + _SHORTEST_BARS + 1]
        peak = novelty[bar] >= max(_THRESHOLD_DB, float(near.max()))
        if peak and bar - starts[-1] >= _SHORTEST_BARS:
            starts.append(bar)
    return starts


def _features(bars: list[Stretch], layers: Layers) -> Doubles:
    """Return bars × features, all in dB so that they weigh alike: three bands, and the level of the whole."""
    if layers.frequency is None or layers.dynamics is None or not bars:
        return np.zeros((len(bars), 1))
    bands = (layers.frequency.bass, layers.frequency.mids, layers.frequency.highs)
    amplitudes = np.array([[_mean(band, bar) for band in bands] for bar in bars])
    levels = np.array([[_mean(layers.dynamics.rms, bar)] for bar in bars])
    decibels = np.hstack([20.0 * np.log10(np.maximum(amplitudes, 1e-6)), levels])
    return np.maximum(decibels, _QUIETEST_DB)


def _novelty(features: Doubles) -> Doubles:
    """Return the distance between the mean of the bars before and after each bar, up to eight on a side.

    For features under a Euclidean distance this is what the checkerboard kernel of Foote measures.
    """
    novelty = np.zeros(len(features))
    for bar in range(_SHORTEST_BARS, len(features) - _SHORTEST_BARS + 1):
        before = features[max(bar - _KERNEL_BARS, 0) : bar].mean(axis=0)
        after = features[bar : bar + _KERNEL_BARS].mean(axis=0)
        novelty[bar] = np.linalg.norm(after - before) / features.shape[1] ** 0.5
    return novelty


class _Energies:
    """RMS amplitudes of stretches, relative to the loudest bar (without bars, to the loudest moment)."""

    def __init__(self, layers: Layers, bars: list[Stretch]) -> None:
        self._rms = None if layers.dynamics is None else layers.dynamics.rms
        if self._rms is not None:
            power = [10.0 ** (value / 10.0) for value in self._rms.values]
            self._power = Envelope("power", self._rms.rate_hz, self._rms.start_ms, power)
            self._top = max([_mean(self._power, bar) for bar in bars] or power or [0.0])

    def of(self, stretch: Stretch) -> float | None:
        """Return the energy of a stretch, 0..1."""
        if self._rms is None or self._top <= 0.0:
            return None
        return round(min((_mean(self._power, stretch) / self._top) ** 0.5, 1.0), 3)


def _mean(curve: Envelope, stretch: Stretch) -> float:
    """Average an envelope over a stretch; at least one value."""
    first, last = (round((at - curve.start_ms) * curve.rate_hz / 1000.0) for at in stretch)
    first = min(max(first, 0), max(len(curve.values) - 1, 0))
    values = curve.values[first : max(last, first + 1)]
    return sum(values) / len(values) if values else 0.0
