"""F-measure and Cemgil are the field's own, number for number."""

import warnings
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.metrics import cemgil, compare, f_measure


@pytest.fixture(scope="module")
def mir_eval() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies deprecate things as they are imported
        import mir_eval.beat

    return mir_eval


beat_grids = st.lists(st.integers(0, 30_000), min_size=1, max_size=60, unique=True).map(sorted)


@settings(max_examples=300, deadline=None)
@given(reference=beat_grids, estimated=beat_grids, shift=st.floats(-80, 80))
def test_both_figures_equal_those_of_mir_eval(
    mir_eval: ModuleType, reference: list[int], estimated: list[int], shift: float
) -> None:
    moved = [beat + 100 + shift for beat in estimated]
    distances = np.abs(np.subtract.outer(reference, moved))
    assume(not np.any(np.abs(distances - 70.0) < 1e-6))  # 0.07 s is not a float; 70 ms is, and counts
    given_s, found_s = np.array(reference) / 1000, np.array(moved) / 1000
    assert f_measure(reference, moved) == pytest.approx(mir_eval.beat.f_measure(given_s, found_s), abs=1e-12)
    assert cemgil(reference, moved) == pytest.approx(mir_eval.beat.cemgil(given_s, found_s)[0], abs=1e-9)


def test_seventy_milliseconds_off_still_counts_and_a_little_more_does_not() -> None:
    assert (f_measure([1000.0], [1070.0]), f_measure([1000.0], [1070.1])) == (1.0, 0.0)


def test_a_beat_pairs_with_one_other_only() -> None:
    assert f_measure([1000.0], [960.0, 1040.0]) == pytest.approx(2 / 3)


def test_a_grid_agrees_fully_with_itself() -> None:
    grid = [500.0 * i for i in range(20)]
    scores = compare(grid, grid)
    assert scores is not None
    assert (scores.f_measure, scores.cemgil) == (1.0, 1.0)


def test_double_tempo_costs_precision_and_half_tempo_costs_recall() -> None:
    grid = [500.0 * i for i in range(20)]
    assert f_measure(grid, [250.0 * i for i in range(40)]) == pytest.approx(2 / 3)
    assert f_measure(grid, grid[::2]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("reference", "estimated"), [(7, 20), (20, 7), (0, 20), (0, 0)])
def test_fewer_than_eight_beats_on_either_side_give_no_figures(reference: int, estimated: int) -> None:
    assert compare([500.0 * i for i in range(reference)], [500.0 * i for i in range(estimated)]) is None
