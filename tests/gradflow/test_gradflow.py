"""Norms, fitted decay, and the origin of a divergence."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.tree import leaf_norms, stable_norm, tree_norm, tree_norms
from rnnexp.gradflow.decay import decay_scalars, fit_decay
from rnnexp.gradflow.nonfinite import Order, Origin, find_origin


@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1.0, 1e20, 1e36])
def test_the_norm_neither_overflows_nor_underflows(scale: float) -> None:
    x = scale * jnp.array([[3.0, 4.0], [0.0, 0.0]], jnp.float32)
    np.testing.assert_allclose(stable_norm(x, axis=-1), [5 * scale, 0], rtol=1e-6)
    np.testing.assert_allclose(stable_norm(x), 5 * scale, rtol=1e-6)
    tree = {"a": x, "b": 0 * x}
    np.testing.assert_allclose(tree_norm(tree), 5 * scale, rtol=1e-6)
    np.testing.assert_allclose(list(leaf_norms(tree).values()), [5 * scale, 0], rtol=1e-6)
    halves = jax.tree.map(lambda leaf: leaf / 2, tree)
    np.testing.assert_allclose(tree_norms(tree, halves), [5 * scale, 2.5 * scale], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_the_norm_of_a_non_finite_array_is_not_finite(bad: float) -> None:
    for norm in (stable_norm, jax.jit(stable_norm)):
        for others in (1.0, 0.0, bad):
            assert not np.isfinite(norm(jnp.array([others, bad, others])))
            assert not np.isfinite(norm(jnp.full((64, 33), bad).at[0].set(others)))
    tree = {"a": jnp.array([1.0, bad]), "b": jnp.ones(2)}
    for total in (tree_norm, jax.jit(tree_norm)):
        assert not np.isfinite(total(tree))
    for norms in (leaf_norms, jax.jit(leaf_norms)):
        assert np.isfinite(list(norms(tree).values())).tolist() == [False, True]


def test_norms_are_named_by_path() -> None:
    tree = {"layers": {0: {"w": 2 * jnp.ones(4)}}, "readout": {"bias": jnp.ones(9)}}
    norms = {name: float(value) for name, value in leaf_norms(tree).items()}
    assert norms == {"layers/0/w": 4.0, "readout/bias": 3.0}


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


def test_the_origin_is_the_latest_step_and_there_the_topmost_layer() -> None:
    norms, units = np.ones((3, 10)), [Order(name) for name in "abc"]
    assert find_origin({"h": norms}, units) is None
    norms[0, :7] = np.nan
    norms[1, :6] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "a", 6, 3)
    norms[2, 6] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "c", 6, 3)
    later = np.ones((3, 10))
    later[1, 8] = np.nan
    assert find_origin({"h": norms, "c": later}, units) == Origin("c", "b", 8, 1)


def test_the_origin_of_units_that_read_backwards_and_of_decoders() -> None:
    norms = np.ones((3, 10))
    norms[0, 8], norms[1, 3:] = np.nan, np.inf
    units = [Order("e"), Order("e_backward", backward=True), Order("d", part=1)]
    assert find_origin({"h": norms}, units) == Origin("h", "e", 8, 1)
    norms[1, 0] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "e_backward", 0, 0)
    norms[2, 2] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "d", 2, 7)
