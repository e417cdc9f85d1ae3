"""The minGRU starts as its paper says, and so does the minLSTM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.distributions import uniform_on
from tests.helpers.structured_cells import build


@pytest.mark.parametrize(("name", "biases"), [("min_gru", [0, 0]), ("min_lstm", [1, 0, 0])])
def test_minimal_cells_start(name: str, biases: list[float]) -> None:
    params = build(name, inputs=50, hidden=100).init(jax.random.key(6))
    for block in jnp.split(params["w_x"], len(biases), axis=1):
        uniform_on(block, -np.sqrt(6 / 150), np.sqrt(6 / 150))
    np.testing.assert_array_equal(params["b"], np.repeat(biases, 100))
