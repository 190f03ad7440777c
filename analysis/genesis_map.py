"""Rendering Genesis Maps: from an analysis, or from an older map with another grid; and reading them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from analysis.canonical import canonical_sha256
from analysis.map_document import SCHEMA_VERSION, GenesisMap, GlobalMetrics, Metadata
from analysis.result import Analysed
from analysis.rhythm import tempo_curve

Json = dict[str, Any]


class _Head(msgspec.Struct):
    metadata: Metadata


# Made here, not at each use: see domain/known_types.py, which this package may not import.
_decode_json = msgspec.json.Decoder(Json).decode
_decode_map = msgspec.json.Decoder(GenesisMap).decode
_decode_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, slots=True)
class RenderedMap:
    """A map as bytes, with its `mapSha256` (not the SHA-256 of these bytes)."""

    content: bytes
    map_sha256: str


def render(
    analysed: Analysed,
    *,
    track_id: str,
    version: int,
    filename: str,
    timestamp: str,
    audio_sha256: str,
    metrics: GlobalMetrics,
) -> RenderedMap:
    """Return the map of an analysis. `timestamp` is RFC 3339; hashes are hex SHA-256."""
    return _sealed(
        {
            "schemaVersion": SCHEMA_VERSION,
            "trackId": track_id,
            "version": version,
            "metadata": {
                "filename": filename,
                "analysisEngine": analysed.engine,
                "settings": _camel(analysed.settings),
                "timestamp": timestamp,
                "hashes": {"audioSha256": audio_sha256},
            },
            "globalMetrics": msgspec.to_builtins(metrics),
            "layers": dict(analysed.layers),
        }
    )


def with_grid(
    map_content: bytes,
    *,
    version: int,
    timestamp: str,
    beats_ms: Sequence[float],
    downbeats_ms: Sequence[float],
    metrics: GlobalMetrics,
) -> RenderedMap:
    """Return a map for a new version with these beats and figures; all else is that of `map_content`.

    Give the map of the *analysis*: beats that are its own keep their strengths, so a revert is whole again.
    For other beats the rhythm layer says `override` and has no strengths, which only the audio could tell.
    Fields of a later schema are kept. Raises msgspec.DecodeError if the content is no map.
    """
    document = _decode_json(map_content)
    layers = cast("Json", document["layers"])
    rhythm = _rhythm_with(cast("Json", layers["rhythm"]), beats_ms, downbeats_ms)
    return _sealed(
        {
            **document,
            "version": version,
            "metadata": {**cast("Json", document["metadata"]), "timestamp": timestamp},
            "globalMetrics": {**cast("Json", document["globalMetrics"]), **msgspec.to_builtins(metrics)},
            "layers": {**layers, "rhythm": rhythm},
        }
    )


def read_map(content: bytes) -> GenesisMap:
    """Return the known fields of a map of this or a later schema version. Raises msgspec.ValidationError."""
    return _decode_map(content)


def read_metadata(content: bytes) -> Metadata:
    """Return the metadata alone, without building the layers. Raises msgspec.ValidationError."""
    return _decode_head(content).metadata


def hash_of(content: bytes) -> str:
    """Return the `mapSha256` this document should carry; it is genuine if that is the one it has."""
    return _hash(_decode_json(content))


def _rhythm_with(rhythm: Json, beats_ms: Sequence[float], downbeats_ms: Sequence[float]) -> Json:
    if list(beats_ms) == rhythm["beatGridMs"] and list(downbeats_ms) == rhythm["downbeatMs"]:
        return rhythm
    of_the_machine = ("confidence", "alternatives")
    return {
        **{name: value for name, value in rhythm.items() if name not in of_the_machine},
        "source": "override",
        "beatGridMs": list(beats_ms),
        "downbeatMs": list(downbeats_ms),
        "beatsPerBar": None,
        "beatStrength": None,
        "tempoCurve": tempo_curve(beats_ms),
    }


def _sealed(document: Json) -> RenderedMap:
    map_sha256 = _hash(document)
    metadata = document["metadata"]
    hashes = {**metadata["hashes"], "mapSha256": map_sha256}
    sealed = {**document, "metadata": {**metadata, "hashes": hashes}}
    return RenderedMap(msgspec.json.encode(sealed), map_sha256)


def _hash(document: Json) -> str:
    metadata = document["metadata"]
    return canonical_sha256(
        {
            "schemaVersion": document["schemaVersion"],
            "engine": metadata["analysisEngine"],
            "settings": metadata["settings"],
            "audioSha256": metadata["hashes"]["audioSha256"],
            "globalMetrics": document["globalMetrics"],
            "layers": document["layers"],
        }
    )


def _camel(settings: Mapping[str, Any]) -> Json:
    def camel(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest)

    return {camel(name): value for name, value in settings.items()}
