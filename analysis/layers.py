"""The frequency, dynamics and spectral layers of the map as JSON-ready, rounded data (see map_document)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.descriptors import BANDS_HZ, DECIMATION, Descriptors
from analysis.loudness import FLOOR, loudness
from analysis.sound import HOPS_PER_PEAK, Sound
from analysis.spectrum import FRAME_RATE, HOP, SAMPLE_RATE, Floats

_RATE_HZ = FRAME_RATE / DECIMATION
_HOP_MS = HOP * 1000.0 / SAMPLE_RATE


def layers(sound: Sound, described: Descriptors) -> dict[str, Any]:
    """Return the three layers, about 21.5 values a second each."""
    return {
        "frequency": _frequency(described.powers[:, : len(BANDS_HZ)]),
        "dynamics": _dynamics(sound, described.powers[:, len(BANDS_HZ)]),
        "spectral": _spectral(described),
    }


def _frequency(powers: Floats) -> dict[str, Any]:
    """Each band's amplitude, the root of the mean power of four frames, 1 at its loudest."""
    whole = np.pad(powers, ((0, -len(powers) % DECIMATION), (0, 0)), mode="edge")
    amplitudes = np.sqrt(whole.reshape(-1, DECIMATION, powers.shape[1]).mean(axis=1))
    tops = amplitudes.max(axis=0)
    centre_ms = (DECIMATION - 1) / 2 * _HOP_MS
    return {
        band: _envelope("relative", amplitudes[:, i] / max(float(tops[i]), 1e-9), 3, centre_ms)
        | {"scale": round(float(tops[i]), 6)}
        for i, band in enumerate(BANDS_HZ)
    }


def _dynamics(sound: Sound, weighted: Floats) -> dict[str, Any]:
    rms = np.sqrt(sound.power.reshape(-1, HOPS_PER_PEAK).mean(axis=1))
    measured = loudness(weighted)
    centre_ms = HOPS_PER_PEAK * _HOP_MS / 2
    return {
        "rms": _envelope("dBFS", _decibels(rms), 1, centre_ms),
        "peak": _envelope("dBFS", _decibels(sound.peak), 1, centre_ms),
        "loudness": _envelope("LUFS", measured.momentary[::DECIMATION], 1),
        "integratedLufs": measured.integrated_lufs,
        "loudnessRangeLu": measured.range_lu,
    }


def _spectral(described: Descriptors) -> dict[str, Any]:
    top = max(float(described.flux.max()), 1e-9)
    return {
        "centroid": _envelope("Hz", described.centroid, 0),
        "rolloff": _envelope("Hz", described.rolloff, 0),
        "flatness": _envelope("ratio", described.flatness, 3),
        "flux": _envelope("relative", described.flux / top, 3) | {"scale": round(top, 6)},
    }


def _decibels(amplitude: Floats) -> NDArray[np.floating]:
    return np.maximum(20.0 * np.log10(np.maximum(amplitude, 1e-9)), FLOOR)


def _envelope(
    unit: str, values: NDArray[np.floating], decimals: int, start_ms: float = 0.0
) -> dict[str, Any]:
    rounded = np.round(values.astype(np.float64), decimals) + 0.0  # no negative zeros
    return {"unit": unit, "rateHz": _RATE_HZ, "startMs": round(start_ms, 3), "values": rounded.tolist()}
