"""The antisymmetric RNN has the stated start and eigenvalues, prepared once or at every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.antisymmetric import antisymmetric
from tests.helpers.distributions import assert_gaussian
from tests.helpers.noisy_cells import H, I, inputs, jacobian, noisy


def test_start_of_antisymmetric() -> None:
    params = antisymmetric(25, 100, gated=True, recurrent_scale=3.0).init(jax.random.key(0))
    assert_gaussian(params["w_x"], 1 / 5)
    assert_gaussian(params["w_upper"], 3 / 10)
    assert float(jnp.abs(params["b"]).max()) == 0


@pytest.mark.parametrize("gated", [False, True])
def test_antisymmetric_eigenvalues_have_real_part_minus_gamma(gated: bool, x64: None) -> None:
    epsilon, gamma = 0.25, 0.4
    cell = antisymmetric(I, H, epsilon=epsilon, gamma=gamma, gated=gated)
    params = noisy(cell)
    at_rest = {**params, "b": jnp.zeros_like(params["b"])}
    step = jacobian(cell, at_rest, {"h": jnp.zeros(H)}, jnp.zeros(I))
    # at the origin tanh has slope 1, and a gate without bias is 1/2
    eigenvalues = np.linalg.eigvals((step - np.eye(H)) / (epsilon * (0.5 if gated else 1.0)))
    np.testing.assert_allclose(eigenvalues.real, -gamma, atol=1e-12)
    assert np.abs(eigenvalues.imag).max() > 0.1


def test_antisymmetric_is_prepared_once_or_at_every_step_alike(x64: None) -> None:
    cell = antisymmetric(I, H, gated=True)
    params, state = noisy(cell), {"h": jnp.arange(1.0, H + 1)}
    x_I = inputs()[0, 0]
    prepared = cell.prepare(params)
    np.testing.assert_array_equal(
        cell.transition(params, state, x_I)["h"], cell.transition(prepared, state, x_I)["h"]
    )
    np.testing.assert_array_equal(
        cell.gates(params, state, x_I)["update"], cell.gates(prepared, state, x_I)["update"]
    )
