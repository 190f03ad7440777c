"""Waveform peaks hold the extremes of what they stand for, at every zoom."""

import json
import struct

import numpy as np
import pytest

from analysis.peaks import ZOOMS, peaks
from analysis.stage_timings import speedscope


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 100_000])
def test_every_pair_is_the_lowest_and_highest_of_its_samples(count: int) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32)
    for zoom, found in zip(ZOOMS, peaks(samples), strict=True):
        assert found.samples_per_pixel == zoom
        stretches = [samples[at : at + zoom] for at in range(0, count, zoom)]
        expected = [[round(float(s.min()) * 127), round(float(s.max()) * 127)] for s in stretches]
        assert found.pairs.tolist() == expected


def test_samples_beyond_full_scale_stay_inside_the_byte() -> None:
    assert peaks(np.array([-3.0, 3.0], np.float32))[0].pairs.tolist() == [[-128, 127]]


def test_binary_and_json_say_the_same() -> None:
    found = peaks(np.random.default_rng(1).uniform(-1, 1, 5000).astype(np.float32))[1]
    version, flags, rate, zoom, length, channels = struct.unpack_from("<iIiiIi", found.binary())
    document = json.loads(found.json())
    assert (version, flags, rate, zoom, length, channels) == (2, 1, 22_050, 1024, 5, 1)
    assert (document["sample_rate"], document["samples_per_pixel"], document["length"]) == (
        rate,
        zoom,
        length,
    )
    assert list(struct.unpack_from(f"{2 * length}b", found.binary(), 24)) == document["data"]


def test_stage_timings_open_and_close_in_order() -> None:
    profile = json.loads(speedscope("song.mp3", {"decoding": 300.0, "beats": 60.5}))["profiles"][0]
    assert profile["events"] == [
        {"type": "O", "frame": 0, "at": 0.0},
        {"type": "C", "frame": 0, "at": 300.0},
        {"type": "O", "frame": 1, "at": 300.0},
        {"type": "C", "frame": 1, "at": 360.5},
    ]
    assert profile["endValue"] == 360.5
