"""Checks that numbers are Gaussian or uniform, by their moments or by Kolmogorov-Smirnov."""

import numpy as np
import scipy.stats  # type: ignore[import-untyped]

from rnnexp.core.types import Array


def assert_gaussian(values: Array, deviation: float) -> None:
    """Mean 0 and that deviation, each within five of its own standard errors."""
    x = np.asarray(values, np.float64).ravel() / deviation
    assert abs(x.mean()) < 5 / np.sqrt(x.size)
    assert abs(np.square(x).mean() - 1) < 5 * np.sqrt(2 / x.size)
    # the fourth moment is 3 for a Gaussian, 9/5 for a uniform; its variance is 96
    assert abs((x**4).mean() - 3) < 5 * np.sqrt(96 / x.size)


def assert_uniform(values: Array | np.ndarray, low: float, high: float) -> None:
    """Within [low, high], and mean and variance within five standard errors."""
    u = (np.asarray(values, np.float64).ravel() - low) / (high - low)
    assert -1e-4 <= u.min() < u.max() <= 1 + 1e-4
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / u.size)
    assert abs(np.square(u - 1 / 2).mean() - 1 / 12) < 5 * np.sqrt(1 / 180 / u.size)


def uniform_on(values: Array, low: float, high: float) -> None:
    """A Kolmogorov-Smirnov test at one in a hundred; seeds are fixed."""
    test = scipy.stats.kstest(np.ravel(values), "uniform", args=(low, high - low))
    assert test.pvalue > 0.01, (test, low, high)


def gaussian_of(values: Array, deviation: float) -> None:
    test = scipy.stats.kstest(np.ravel(values), "norm", args=(0, deviation))
    assert test.pvalue > 0.01, (test, deviation)
