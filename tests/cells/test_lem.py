"""LEM keeps its states within one, and its gates alone move them."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.lem import lem
from rnnexp.scan.unroll import unroll
from tests.helpers.noisy_cells import H, I, inputs, noisy


def test_lem_states_stay_within_one_and_its_gates_move_them(x64: None) -> None:
    cell = lem(I, H)
    params, x = jax.tree.map(lambda v: 5 * v, noisy(cell)), inputs()
    assert float(jnp.abs(unroll(cell, params, x).outputs_TxBxH).max()) <= 1
    closed = {**params, "b": jnp.full(4 * H, -1e4)}  # both gates shut: nothing moves
    state = {"h": jnp.linspace(-0.5, 0.5, H), "z": jnp.linspace(0.3, -0.3, H)}
    new = cell.transition(closed, state, x[0, 0])
    for leaf, value in state.items():
        np.testing.assert_array_equal(new[leaf], value)
