"""The unitary cell takes a unitary step, and starts as its paper says."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.unitary import permutation
from rnnexp.core.types import Array
from tests.helpers.distributions import uniform_on
from tests.helpers.noisy_params import noisy_params
from tests.helpers.structured_cells import H, I, as_numpy, build, unitary_matrix


def test_the_urnn_step_is_unitary(x64: None) -> None:
    cell = build("unitary")
    params = {**noisy_params(cell, 2.0), "b": jnp.zeros(H)}

    def step(flat: Array) -> Array:
        state = {"h": flat.reshape(2, H)}
        return cell.transition(params, state, jnp.zeros(I))["h"].reshape(-1)

    J = np.asarray(jax.jacobian(step)(jnp.ones(2 * H)))
    np.testing.assert_allclose(J @ J.T, np.eye(2 * H), atol=1e-12)
    W = unitary_matrix(as_numpy(params))
    np.testing.assert_allclose(J, np.block([[W.real, -W.imag], [W.imag, W.real]]), atol=1e-12)


def test_unitary_start() -> None:
    params = build("unitary", inputs=50, hidden=1000).init(jax.random.key(3))
    limit = np.sqrt(6 / (50 + 2 * 1000))
    uniform_on(params["w_x"], -limit, limit)
    uniform_on(params["d"], -np.pi, np.pi)
    uniform_on(params["v"], -1, 1)
    uniform_on(params["h_0"], -np.sqrt(3 / 2000), np.sqrt(3 / 2000))
    assert float(jnp.abs(params["b"]).max()) == 0
    assert sorted(permutation(1000, 0)) == list(range(1000))
    assert (permutation(1000, 0) != permutation(1000, 1)).any()
