"""The fitted line agrees with NumPy's, and its R² says when a line says nothing."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.gradflow.decay import fit_decay
from rnnexp.results.line_fit import fitted_line, line_fit
from tests.helpers.logged_runs import exponential


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.05])
def test_an_exponential_fits_whole(slope: float) -> None:
    assert line_fit(exponential(slope)) == pytest.approx(1.0, abs=1e-12)
    assert line_fit(exponential(slope).astype(np.float32)) == pytest.approx(1.0, abs=1e-6)


def test_it_is_the_squared_correlation_over_the_usable_lags() -> None:
    draws = np.random.default_rng(0)
    for noise in (0.01, 1.0, 30.0):
        norms_T = np.exp(-0.1 * np.arange(60) + noise * draws.standard_normal(60))
        norms_T[[3, 17]] = 0.0, np.inf
        usable = np.isfinite(norms_T) & (norms_T > 0)
        expected = np.corrcoef(np.arange(60)[usable], np.log(norms_T[usable]))[0, 1] ** 2
        assert line_fit(norms_T) == pytest.approx(expected, rel=1e-10)
        assert line_fit(norms_T[::-1]) == pytest.approx(expected, rel=1e-10)


def test_two_halves_that_decay_at_two_rates_fit_badly() -> None:
    """ln(norm) is a hat: up for half of the lags and down for the others."""
    lag = np.arange(41)
    assert line_fit(np.exp(-0.5 * np.abs(lag - 20))) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("norms", [[], [1.0], [1.0, 2.0], [0.0, 1.0, np.nan, 2.0, 0.0]])
def test_a_line_through_two_points_says_nothing(norms: list[float]) -> None:
    assert np.isnan(line_fit(np.array(norms)))


def test_the_line_is_numpy_s_and_has_the_slope_that_runs_log() -> None:
    draws = np.random.default_rng(1)
    norms_T = np.exp(3 - 0.1 * np.arange(50) + draws.standard_normal(50)).astype(np.float32)
    norms_T[[0, 1, 17, 49]] = 0.0, np.nan, np.inf, 0.0
    usable = np.isfinite(norms_T) & (norms_T > 0)
    line = fitted_line(norms_T)
    assert line is not None
    slope, start = np.polyfit(np.flatnonzero(usable), np.log(norms_T[usable].astype(float)), 1)
    assert (line.slope, line.start) == pytest.approx((slope, start), rel=1e-9)
    assert line.lags == (2, 48)
    logged = fit_decay(jnp.asarray(norms_T[::-1]))
    assert line.slope == pytest.approx(float(logged.slope), rel=1e-4)
    assert line.half_life == pytest.approx(float(logged.half_life), rel=1e-4)


def test_a_norm_that_does_not_shrink_has_no_half_life() -> None:
    line = fitted_line(exponential(0.1)[::-1])
    assert line is not None
    assert line.half_life == np.inf
    assert fitted_line(np.array([0.0, 1.0, np.nan])) is None
