"""The minimal gated unit starts as its paper says; its gate replaces or keeps the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.minimal_gated import minimal_gated
from tests.helpers.distributions import assert_uniform
from tests.helpers.noisy_cells import H, I, inputs, noisy


def test_start_of_the_minimal_gated_unit() -> None:
    params = minimal_gated(150, 64, forget_bias=-2.0).init(jax.random.key(0))
    np.testing.assert_array_equal(params["b"], np.repeat([-2.0, 0.0], 64))
    for square in jnp.split(params["w_h"], 2, axis=1):
        np.testing.assert_allclose(square @ square.T, np.eye(64), atol=1e-5)
    for block in jnp.split(params["w_x"], 2, axis=1):
        assert_uniform(block, -np.sqrt(6 / 214), np.sqrt(6 / 214))


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_the_minimal_gate_replaces_or_keeps(value: float, x64: None) -> None:
    cell = minimal_gated(I, H)
    params = noisy(cell)
    params = {**params, "b": params["b"].at[:H].set(value)}
    h, x_I = jnp.linspace(-0.5, 0.5, H), inputs()[0, 0]
    new = cell.transition(params, {"h": h}, x_I)["h"]
    rnn = jnp.tanh(x_I @ params["w_x"][:, H:] + h @ params["w_h"][:, H:] + params["b"][H:])
    np.testing.assert_allclose(new, rnn if value > 0 else h, rtol=1e-12)
