"""The orthogonal cell has an orthogonal matrix, which starts as rotations of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.orthogonal import start_angles
from tests.helpers.distributions import gaussian_of, uniform_on
from tests.helpers.noisy_params import noisy_params
from tests.helpers.structured_cells import (
    build,
)


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("hidden", [5, 6])
def test_expm_is_orthogonal_with_determinant_one(hidden: int, scale: float, x64: None) -> None:
    cell = build("orthogonal", hidden=hidden)
    w = np.asarray(cell.prepare(noisy_params(cell, scale))["w_h"])
    np.testing.assert_allclose(w @ w.T, np.eye(hidden), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(w), 1, atol=1e-12)


def test_orthogonal_starts_as_rotations_of_pairs() -> None:
    u = 2 * jnp.arctan(-start_angles(jax.random.key(0), 5000, "cayley"))
    uniform_on(u, 0, np.pi / 2)
    uniform_on(start_angles(jax.random.key(1), 5000, "henaff"), -np.pi, np.pi)
    params = build("orthogonal", inputs=50, hidden=101).init(jax.random.key(2))
    gaussian_of(params["w_x"], np.sqrt(2 / 50))
    uniform_on(params["b"], -0.01, 0.01)
    A = np.zeros((101, 101))
    A[np.triu_indices(101, 1)] = params["a"]
    filled = np.argwhere(A)
    np.testing.assert_array_equal(filled, [(k, k + 1) for k in range(0, 100, 2)])
