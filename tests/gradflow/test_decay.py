"""The fitted decay of a profile: its slope over the lag, its half-life, what is left out."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.gradflow.decay import decay_scalars, fit_decay


def test_an_exponential_profile_is_fitted_exactly(x64: None) -> None:
    lag = np.arange(99, -1, -1)
    decay = fit_decay(jnp.asarray(3.0 * np.exp(-0.05 * lag)))
    np.testing.assert_allclose(decay.slope, -0.05, rtol=1e-10)
    np.testing.assert_allclose(decay.half_life, np.log(2) / 0.05, rtol=1e-10)
    assert int(decay.zero_lags) == 0


def test_zeros_and_non_finite_norms_are_not_fitted(x64: None) -> None:
    norms = np.exp(0.1 * np.arange(50))
    norms[:10] = 0
    norms[20] = np.inf
    decay = fit_decay(jnp.asarray(norms))
    np.testing.assert_allclose(decay.slope, -0.1, rtol=1e-10)
    assert int(decay.zero_lags) == 10


def test_the_fit_equals_numpy_on_noise(x64: None) -> None:
    norms = np.exp(np.random.default_rng(0).normal(size=60))
    slope = np.polyfit(np.arange(59, -1, -1), np.log(norms), 1)[0]
    np.testing.assert_allclose(fit_decay(jnp.asarray(norms)).slope, slope, rtol=1e-9)


def test_every_unit_s_profile_is_fitted_in_its_own_direction(x64: None) -> None:
    """Units of a decoder have fewer steps than those of an encoder; norms grow in time here, so
    they fall with the lag of a forward unit, and grow with a backward one's."""
    growing = {steps: jnp.exp(0.1 * jnp.arange(float(steps))) for steps in (5, 9)}
    units: Any = [
        SimpleNamespace(name="encoder", backward=False),
        SimpleNamespace(name="back", backward=True),
        SimpleNamespace(name="decoder", backward=False),
    ]
    profiles = [{"h": growing[9], "c": growing[9] ** 2}, {"h": growing[9]}, {"h": growing[5]}]
    scalars = decay_scalars(units, profiles)
    slopes = {name: float(v) for name, v in scalars.items() if name.startswith("slope/")}
    wanted = {"encoder/h": -0.1, "encoder/c": -0.2, "back/h": 0.1, "decoder/h": -0.1}
    assert slopes == pytest.approx({f"slope/{unit}": slope for unit, slope in wanted.items()})
    assert len(scalars) == 3 * len(wanted)


def test_a_growing_profile_has_no_half_life() -> None:
    decay = fit_decay(jnp.exp(-0.1 * jnp.arange(20.0)))
    assert float(decay.slope) > 0
    assert float(decay.half_life) == np.inf


@pytest.mark.parametrize("norms", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
def test_fewer_than_two_lags_have_no_slope(norms: list[float]) -> None:
    decay = fit_decay(jnp.array(norms))
    assert np.isnan(decay.slope)
    assert np.isnan(decay.half_life)
