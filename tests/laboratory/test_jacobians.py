"""Explicit Jacobians of a step: their products are the adjoints that taps record."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import tap, zero_slot
from rnnexp.laboratory.jacobians import adjoints_by_products, step_jacobians, trajectory
from rnnexp.scan.unroll import Probe, unroll
from tests.helpers.variants import Variant, build, each_cell

T, B, I, H = 8, 3, 4, 5  # noqa: E741


@each_cell
def test_taps_equal_products_of_explicit_jacobians(variant: Variant, x64: None) -> None:
    cell = build(variant, I, H)
    params = cell.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    weights = jax.random.normal(jax.random.key(2), (T, B, cell.output_size))
    slots = zero_slot(cell, params, T, B)

    def loss(slots: State) -> Array:
        return jnp.sum(weights * unroll(cell, params, x, probe=Probe(tap, slots)).outputs_TxBxH)

    adjoints = jax.jit(jax.grad(loss))(slots)
    one = jax.jit(partial(products_of_one, cell))
    for b in range(B):
        by_products = one(params, x[:, b], weights[:, b])
        for leaf in cell.probed:
            np.testing.assert_allclose(
                adjoints[leaf][:, b], by_products[leaf], rtol=1e-9, atol=1e-13
            )


def products_of_one(cell: Cell, params: Params, x: Array, weights: Array) -> State:
    """The adjoints of one example through `laboratory.jacobians`, by leaf."""
    states = trajectory(cell, params, x)
    start, unravel = ravel_pytree(cell.init_state(params))
    assert states.shape == (T + 1, len(start))

    def read(state_S: Array, x_I: Array, weight: Array) -> Array:
        return jnp.sum(weight * cell.output(params, unravel(state_S), x_I))

    direct = jax.vmap(jax.grad(read))(states[1:], x, weights)
    flat = adjoints_by_products(step_jacobians(cell, params, x), direct)
    adjoints: State = jax.vmap(unravel)(flat)
    return adjoints
