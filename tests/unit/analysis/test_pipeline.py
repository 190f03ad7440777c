"""Odd recordings end in honest answers, and the same one always in the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import pipeline
from analysis.pipeline import analyse
from analysis.result import Analysed, AnalysisSettings, UnusableSamples
from analysis.synth import Song, synthesise

RATE = 22_050


def run(samples: NDArray[np.floating], settings: AnalysisSettings | None = None) -> Analysed:
    return analyse(samples.astype(np.float32), settings or AnalysisSettings(), lambda _stage, _percent: None)


@pytest.fixture(scope="module")
def rock() -> Song:
    return synthesise("rock", 100, 20, sample_rate=RATE)


@pytest.fixture(scope="module")
def plain(rock: Song) -> Analysed:
    return run(rock.samples)


@pytest.mark.parametrize("seconds", [0, 0.01, 10])
def test_silence_has_no_beats_no_figures_and_says_so(seconds: float) -> None:
    found = run(np.zeros(int(seconds * RATE)))
    assert found.beats_ms == ()
    assert (found.bpm, found.agreement) == (None, None)
    assert found.warnings == (pipeline.SILENT,)
    assert found.layers["rhythm"]["beatGridMs"] == []


def test_a_constant_offset_alone_is_silence() -> None:
    assert run(np.full(5 * RATE, 0.5)).warnings == (pipeline.SILENT,)


def test_one_click_gives_no_tempo_and_no_figures() -> None:
    click = np.zeros(10 * RATE)
    click[5 * RATE] = 1.0
    found = run(click)
    assert len(found.beats_ms) <= 1
    assert (found.bpm, found.agreement) == (None, None)
    assert found.warnings == (pipeline.FEW_BEATS,)


def test_two_seconds_of_music_have_beats_but_no_figures() -> None:
    found = run(synthesise("edm", 128, 2, sample_rate=RATE).samples)
    assert 2 <= len(found.beats_ms) < 8
    assert (found.bpm, found.agreement) == (None, None)


def test_noise_is_not_vouched_for() -> None:
    noise = np.random.default_rng(5).standard_normal(20 * RATE) * 0.1
    found = run(noise)
    assert found.agreement is None or found.agreement.f_measure < 0.8


def test_music_is_vouched_for_by_both_second_grids(plain: Analysed) -> None:
    assert plain.agreement is not None
    assert plain.agreement.f_measure > 0.95
    assert plain.agreement.cemgil > 0.95
    assert len(plain.agreement.engines) == 2
    assert plain.warnings == ()


@pytest.mark.parametrize("change", ["offset", "clipped", "quiet"])
def test_offset_clipping_and_level_do_not_move_the_beats(rock: Song, plain: Analysed, change: str) -> None:
    samples = {
        "offset": rock.samples + 0.3,
        "clipped": np.clip(rock.samples * 8, -1, 1),
        "quiet": rock.samples * 0.003,
    }[change]
    found = run(samples)
    known = len(plain.beats_ms)
    assert found.beats_ms[:known] == pytest.approx(plain.beats_ms, abs=8)
    assert len(found.beats_ms) <= known + 1  # the ring-out, made loud by clipping, may bear one


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(rock: Song, value: float) -> None:
    samples = rock.samples.copy()
    samples[1000] = value
    with pytest.raises(UnusableSamples):
        run(samples)


def test_the_same_samples_and_settings_give_the_same_result(rock: Song, plain: Analysed) -> None:
    again = run(rock.samples)
    assert (again.beats_ms, again.layers, again.agreement) == (plain.beats_ms, plain.layers, plain.agreement)


def test_progress_only_grows_and_ends_at_a_hundred(rock: Song) -> None:
    seen: list[tuple[str, float]] = []
    analyse(rock.samples, AnalysisSettings(), lambda stage, percent: seen.append((stage, percent)))
    percents = [percent for _, percent in seen]
    assert percents == sorted(percents)
    assert seen[-1] == ("done", 100.0)
    assert len({stage for stage, _ in seen}) >= 5


def test_the_rhythm_layer_knows_each_beat(plain: Analysed) -> None:
    rhythm = plain.layers["rhythm"]
    assert rhythm["beatGridMs"] == list(plain.beats_ms)
    assert len(rhythm["beatStrength"]) == len(plain.beats_ms)
    assert max(rhythm["beatStrength"]) == 1.0
    assert all(0.0 <= strength <= 1.0 for strength in rhythm["beatStrength"])
    assert len(rhythm["onsetMs"]) > len(plain.beats_ms) / 2
    assert rhythm["tempoCurve"]["values"] == pytest.approx([100.0] * 19, abs=0.5)


def test_beats_are_in_order_inside_the_recording_and_rounded(plain: Analysed) -> None:
    assert all(
        0 <= a < b <= plain.duration_ms for a, b in zip(plain.beats_ms, plain.beats_ms[1:], strict=False)
    )
    assert all(round(beat, 1) == beat for beat in plain.beats_ms)


def test_a_beat_that_aubio_expects_behind_the_end_is_none() -> None:
    """It tracks by hops; the last one is filled up, and its beat may lie in what was added."""
    song = synthesise("edm", 128, 12, seed=1, sample_rate=RATE)
    found = run(song.samples[:183_300], AnalysisSettings(engine="aubio"))
    assert len(found.beats_ms) > 8
    assert found.beats_ms[-1] < found.duration_ms


@pytest.mark.parametrize(
    ("settings", "tracker"),
    [(AnalysisSettings(), "beatledger/"), (AnalysisSettings(engine="aubio"), "aubio.tempo/")],
)
def test_the_engine_names_every_version_that_can_change_a_digit(
    settings: AnalysisSettings, tracker: str
) -> None:
    """Of plain aubio, too, only the beats are aubio's own."""
    engine = pipeline.engine_name(settings)
    assert engine.startswith(tracker)
    for part in (f"beatledger/{pipeline.VERSION} ", "aubio/", "numpy/", "scipy/"):
        assert part in engine
