"""Initial kernels are orthogonal or Glorot uniform, gate by gate."""

import jax
import numpy as np
import pytest

from rnnexp.cells.initializers import orthogonal, per_gate
from tests.helpers.variants import build


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_kernels_are_orthogonal_gate_by_gate(name: str, gates: int) -> None:
    params = build((name, {}), 20, 64).init(jax.random.key(1))
    for block in np.split(np.asarray(params["w_h"]), gates, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(64), atol=1e-5)
    first, *rest = np.split(np.asarray(params["w_h"]), gates, axis=1)
    assert all(np.abs(first - other).max() > 0.1 for other in rest)


@pytest.mark.parametrize(
    ("name", "gates"), [("feedforward", 1), ("rnn", 1), ("lstm", 4), ("gru", 3)]
)
def test_input_kernels_are_glorot_uniform_gate_by_gate(name: str, gates: int) -> None:
    params = build((name, {}), 150, 250).init(jax.random.key(2))
    limit = np.sqrt(6 / (150 + 250))
    for block in np.split(np.asarray(params["w_x"]), gates, axis=1):
        assert np.abs(block).max() <= limit
        # 37,500 draws: the deviation of the sample variance is 0.5 %, five of it 2.3 %
        np.testing.assert_allclose(block.var(), limit**2 / 3, rtol=0.023)
        np.testing.assert_allclose(block.mean(), 0, atol=5 * limit / np.sqrt(3 * block.size))


def test_gates_are_drawn_as_one_by_one(x64: None) -> None:
    key = jax.random.key(3)
    w = per_gate(orthogonal, key, 6, 6, 4)
    for gate, part in enumerate(jax.random.split(key, 4)):
        block = w[:, 6 * gate : 6 * gate + 6]
        np.testing.assert_array_equal(block, orthogonal(part, (6, 6)))
        np.testing.assert_allclose(block.T @ block, np.eye(6), atol=1e-14)
