"""The Genesis Map 4.1.0 as types: the one place its fields, units and formulas are written down.

Fields may be added in later versions: readers ignore what they do not know. `docs/schemas` holds the JSON
Schema generated from here (by `make contracts`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION = "4.1.0"

Milliseconds = Annotated[
    float, Meta(ge=0, description="ms from the start of the audio, to 0.1; a person's to 0.001")
]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Ratio = Annotated[float, Meta(ge=0, le=1)]


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """A part of the document; camelCase on the wire."""


class Envelope(_Part, frozen=True):
    """A curve sampled evenly: value i stands for the time `startMs` + i · 1000 / `rateHz`.

    The analysis writes 22,050 / 1,024 = 21.53 values a second; the tempo curve has one.
    """

    unit: str
    rate_hz: Annotated[float, Meta(gt=0)]
    start_ms: float
    values: list[float]
    scale: Annotated[
        float | None, Meta(description="for unit `relative`: the linear amplitude 1 stands for")
    ] = None


class Confidence(_Part, frozen=True):
    """How likely each part of the machine's grid is right, as calibrated on annotated recordings.

    Each presumes the one before: the octave of beats that are right, the phase in the right octave.
    """

    beat: Annotated[Ratio, Meta(description="there are beats here, or half or double as many, or shifted")]
    octave: Annotated[Ratio, Meta(description="these are all beats, and not every second one is missing")]
    phase: Annotated[Ratio, Meta(description="these are the beats, not the off-beats")]
    metre: Annotated[Ratio, Meta(description="bars have this many beats")]


class Alternative(_Part, frozen=True):
    """What the grid could be instead: one edit of the API away."""

    edit: Annotated[
        Literal["double", "halve", "shift_half_beat"], Meta(description="the edit that makes this grid")
    ]
    bpm: Annotated[float, Meta(gt=0, description="BPM: the tempo after the edit")]
    confidence: Annotated[Ratio, Meta(description="how likely this edit is right")]


class Rhythm(_Part, frozen=True, omit_defaults=True):
    """Beats, what is known about each, and onsets."""

    source: Annotated[
        Literal["analysis", "override"], Meta(description="who made the grid: the tracker or a person")
    ]
    beat_grid_ms: Annotated[
        list[Milliseconds],
        Meta(
            description="ms: the chain of onsets closest to a tempo path (Ellis 2007), on one grid where the "
            "song is steady; or the beats a person gave"
        ),
    ]
    downbeat_ms: Annotated[
        list[Milliseconds],
        Meta(
            description="ms: the beats that begin a bar: every third, fourth or fifth, in the phase where "
            "four signs of our own, z-scored over the song and added, are highest on average: the change of "
            "the log mel spectrum from beat to beat and from bar to bar, the bass stroke, the change of the "
            "bass"
        ),
    ]
    beats_per_bar: Annotated[
        int | None,
        Meta(
            description="beats of a bar: 3 or 5 where their downbeats stand out clearly, else 4; null by hand"
        ),
    ] = None
    beat_strength: Annotated[
        list[Ratio] | None,
        Meta(
            description="ratio, one a beat: the top of the onset function (mel-spectral flux) within 23 ms, "
            "over the strongest beat's; null by hand, since only the audio could tell"
        ),
    ] = None
    onset_ms: Annotated[
        list[Milliseconds] | None,
        Meta(
            description="ms: aubio's default detector at 22,050 Hz, window 512, hop 256: peaks of the "
            "high-frequency content (Masri 1996) over a moving median (Brossier 2006)"
        ),
    ] = None
    tempo_curve: Annotated[
        Envelope | None, Meta(description="BPM: 60 s / interval between beats, median of nine, once a second")
    ] = None
    confidence: Annotated[
        Confidence | None, Meta(description="null by hand, and where the trackers found too few beats")
    ] = None
    alternatives: Annotated[
        list[Alternative] | None,
        Meta(description="the runner-up octave and phase, likeliest first; null where confidence is"),
    ] = None


class Frequency(_Part, frozen=True):
    """RMS amplitude in three bands, relative to the band's loudest moment, which `scale` gives.

    √(Σ |X(f)|² / 3 over the band): Parseval on a 1024-point Hann spectrum of the mono mix-down at 22,050 Hz
    (a full-scale sine has |X| = 1), the powers averaged over four hops of 256 samples.
    """

    bass: Annotated[Envelope, Meta(description="30–150 Hz")]
    mids: Annotated[Envelope, Meta(description="150–2,500 Hz")]
    highs: Annotated[Envelope, Meta(description="2,500–11,025 Hz")]


class Dynamics(_Part, frozen=True):
    """Levels of the mono mix-down at 22,050 Hz, its DC offset taken out; nothing is below -100.

    Loudness is EBU R 128 (ITU-R BS.1770-4) of the mix-down as one channel: a sine of -20 dBFS peak at
    997 Hz is -23.01 LUFS. Content above 11 kHz is not in it.
    """

    rms: Annotated[
        Envelope,
        Meta(description="dBFS: 10·log10 of the mean square of 1024 samples; a full-scale square wave is 0"),
    ]
    peak: Annotated[Envelope, Meta(description="dBFS: 20·log10 of the largest of 1024 samples")]
    loudness: Annotated[Envelope, Meta(description="LUFS: momentary loudness (400 ms) after EBU Tech 3341")]
    integrated_lufs: Annotated[
        float | None, Meta(description="LUFS: gated loudness of the whole; null in silence")
    ]
    loudness_range_lu: Annotated[
        float | None,
        Meta(description="LU (EBU Tech 3342): 95th less 10th percentile of short-term loudness (3 s)"),
    ]


class Spectral(_Part, frozen=True):
    """Descriptors of every fourth 1024-point Hann spectrum of the mono mix-down at 22,050 Hz, hop 256.

    Centroid, rolloff and flatness after Peeters 2004, flux after Dixon 2006 (half-wave rectified, L2).
    """

    centroid: Annotated[Envelope, Meta(description="Hz: Σ f·|X| / Σ |X|")]
    rolloff: Annotated[Envelope, Meta(description="Hz below which 85 % of Σ |X|² lies")]
    flatness: Annotated[Envelope, Meta(description="ratio: geometric over arithmetic mean of |X|², 0..1")]
    flux: Annotated[Envelope, Meta(description="relative: √Σ max(0, Δ|X|)² since the value before")]


class Layers(_Part, frozen=True, omit_defaults=True):
    """What a device plays from; every layer but rhythm may be missing."""

    rhythm: Rhythm
    frequency: Frequency | None = None
    dynamics: Dynamics | None = None
    spectral: Spectral | None = None


class MetricsReference(_Part, frozen=True):
    """What the grid was scored against: how many beats of whom, and the hash of a given file."""

    kind: str
    engine: str | None = None
    beats: int = 0
    sha256: str | None = None


class GlobalMetrics(_Part, frozen=True):
    """Figures for the whole. A figure that cannot be known is null, never invented.

    `fMeasure` (±70 ms) and `cemgil` (σ 40 ms) compare the machine's grid with `metricsReference`. With basis
    `self-agreement` that is other trackers, so they say how far trackers agree, not how right they are.
    """

    duration_ms: Annotated[float, Meta(ge=0)]
    bpm: Annotated[float | None, Meta(description="60 s / median beat interval")] = None
    f_measure: Ratio | None = None
    cemgil: Ratio | None = None
    metrics_basis: Literal["self-agreement", "user-reference"] = "self-agreement"
    metrics_reference: MetricsReference | None = None


class MapSettings(_Part, frozen=True):
    """What was asked of the analysis."""

    preset: str
    engine: str
    bpm_hint: float | None = None


class Hashes(_Part, frozen=True):
    """`mapSha256` covers what was found, not whose it is.

    It is the SHA-256 of the RFC 8785 form of {schemaVersion, engine, settings, audioSha256, globalMetrics,
    layers}, engine and settings being those of `metadata`.
    """

    audio_sha256: Sha256
    map_sha256: Sha256


class Metadata(_Part, frozen=True):
    """Where the map comes from."""

    filename: str
    analysis_engine: str
    settings: MapSettings
    timestamp: Annotated[str, Meta(description="RFC 3339, UTC")]
    hashes: Hashes


class GenesisMap(_Part, frozen=True):
    """The document LED and music devices play from: one immutable version of one track."""

    schema_version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    track_id: str
    version: Annotated[int, Meta(ge=1)]
    metadata: Metadata
    global_metrics: GlobalMetrics
    layers: Layers


def earlier_json_schema() -> bytes:
    """Return the JSON Schema of 4.0.0 as it was published: maps of it are kept for ever."""
    return Path(__file__).with_name("genesis-map-4.0.0.json").read_bytes()


def json_schema() -> bytes:
    """Return the published JSON Schema (2020-12), indented."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Genesis Map {SCHEMA_VERSION}",
        **msgspec.json.schema(GenesisMap),
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
