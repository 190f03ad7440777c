"""The smoothers do what scipy.ndimage does, without importing it."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from analysis import smoothing


@pytest.fixture
def curve() -> np.ndarray:
    return np.random.default_rng(8).standard_normal(300)


@pytest.mark.parametrize("size", [33, 86, 689])
def test_a_moving_mean_is_scipy_s(curve: np.ndarray, size: int) -> None:
    expected = ndimage.uniform_filter1d(curve, size, mode="nearest")
    assert smoothing.moving_mean(curve, size) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [9, 33])
def test_a_moving_median_is_scipy_s(curve: np.ndarray, size: int) -> None:
    expected = ndimage.median_filter(curve, size, mode="nearest")
    assert smoothing.moving_median(curve, size) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 1.35, 4.0])
def test_a_gaussian_is_scipy_s(curve: np.ndarray, sigma: float) -> None:
    expected = ndimage.gaussian_filter1d(curve, sigma, mode="constant")
    assert smoothing.gaussian(curve, sigma) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("module", ["analysis.genesis_map", "analysis.graph_template"])
def test_reading_maps_does_not_import_scipy(module: str) -> None:
    """The server and every command line import these."""
    program = f"import sys, {module}; print(any(name.startswith('scipy') for name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"
