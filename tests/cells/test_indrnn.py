"""IndRNN starts as its paper says; its units read only themselves and grow by at most gamma."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.indrnn import indrnn
from tests.helpers.distributions import assert_gaussian, assert_uniform
from tests.helpers.noisy_cells import H, I, inputs, jacobian, noisy


def test_start_of_indrnn() -> None:
    bound = 3.0 ** (1 / 20)
    for options, low, high in [
        ({}, 0.0, 1.0),
        ({"longest_steps": 20, "gamma": 3.0}, 0.0, bound),
        ({"longest_steps": 20, "gamma": 3.0, "start": "long"}, 1 / bound, bound),
    ]:
        params = indrnn(20, 2000, **options).init(jax.random.key(0))  # type: ignore[arg-type]
        assert_uniform(params["u"], low, high)
        assert_gaussian(params["w_x"], 0.001)
        assert float(jnp.abs(params["b"]).max()) == 0


def test_indrnn_units_read_only_themselves_and_grow_at_most_by_gamma(x64: None) -> None:
    cell = indrnn(I, H, longest_steps=12, gamma=2.0)
    params = {
        **noisy(cell),
        "u": jnp.array([3.0, -3.0, 0.5, -0.2, 1.0, 1.1]),
        "b": jnp.full(H, 9.0),
    }
    state = {"h": jnp.arange(1.0, H + 1) / H}
    step = jacobian(cell, params, state, inputs()[0, 0])
    bound = 2 ** (1 / 12)
    np.testing.assert_allclose(step, np.diag([bound, -bound, 0.5, -0.2, 1.0, bound]), atol=1e-12)
    assert np.linalg.norm(np.linalg.matrix_power(step, 12), 2) == pytest.approx(2.0)
    unbounded = jax.grad(
        lambda u: jnp.sum(cell.transition({**params, "u": u}, state, inputs()[0, 0])["h"])
    )
    np.testing.assert_array_equal(
        unbounded(params["u"]) != 0, [False, False, True, True, True, False]
    )
