"""SCRN starts as its paper says; its context is an exponential average of the inputs."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.scrn import scrn
from rnnexp.scan.unroll import unroll
from tests.helpers.distributions import assert_gaussian
from tests.helpers.noisy_cells import C, H, I, T, inputs, jacobian, noisy


def test_start_of_scrn() -> None:
    cell = scrn(50, 80)
    assert cell.output_size == 80 + 40
    assert scrn(3, 1).output_size == 2
    for values in cell.init(jax.random.key(0)).values():
        assert_gaussian(values, 0.05)


def test_scrn_context_is_an_average_with_gradient_alpha(x64: None) -> None:
    cell = scrn(I, H, context_size=C, alpha=0.9)
    params, x = noisy(cell), inputs()
    got = unroll(cell, params, x).outputs_TxBxH[:, :, H:]
    kernel = [0.1 * 0.9 ** (T - 1 - t) for t in range(T)]  # the closed form of the average
    expected = np.einsum("t,tbi,ic->bc", kernel, x, params["w_xs"])
    np.testing.assert_allclose(got[-1], expected, rtol=1e-12)
    state = {"s": jnp.ones(C), "h": jnp.ones(H) / 2}
    step = jacobian(cell, params, state, x[0, 0])
    np.testing.assert_allclose(step[:C], np.hstack([0.9 * np.eye(C), np.zeros((C, H))]), atol=1e-15)
