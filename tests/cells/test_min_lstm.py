"""The minLSTM stays finite when its gates are closed."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.scan.unroll import unroll
from tests.helpers.structured_cells import B, H, I, build, sequence


def test_closed_minlstm_gates_leave_the_state_finite() -> None:
    cell = build("min_lstm")
    b = jnp.concatenate([jnp.full(2 * H, -300.0), jnp.ones(H)])
    params = {**cell.init(jax.random.key(0)), "b": b}
    gates = cell.gates(params, cell.init_state(params), jnp.zeros(I))
    np.testing.assert_allclose(gates["forget"], 0.5)
    loss = lambda p: jnp.sum(unroll(cell, p, sequence(3, B)).final_BxH)  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(params)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))
