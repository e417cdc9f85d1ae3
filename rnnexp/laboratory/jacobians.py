"""Explicit Jacobians of a cell's step, and adjoints as their products.

A slow check of the probes of `adjoints`, with which it shares no code: J_t = ds_t/ds_{t-1} as
full matrices along one example's trajectory, and a_{t-1} = J_t^T a_t + (the direct derivative of
the loss by s_{t-1}).
"""

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params
from rnnexp.scan.step import flat_state, flat_transition


def trajectory(cell: Cell, params: Params, x_TxI: Array) -> Array:
    """Flattened states s_0 ... s_T of one example from the initial one on, (T + 1, S)."""
    start, transition = flat_state(cell.init_state(params)), flat_transition(cell, params)

    def step(state_S: Array, x_I: Array) -> tuple[Array, Array]:
        new_S = transition(state_S, x_I)
        return new_S, new_S

    states_TxS = jax.lax.scan(step, start, x_TxI)[1]
    return jnp.concatenate([start[None], states_TxS])


def step_jacobians(cell: Cell, params: Params, x_TxI: Array) -> Array:
    """J_t = ds_t/ds_{t-1} along one example's trajectory, (T, S, S), t = 1 ... T."""
    states = trajectory(cell, params, x_TxI)[:-1]
    jacobians: Array = jax.vmap(jax.jacfwd(flat_transition(cell, params)))(states, x_TxI)
    return jacobians


def adjoints_by_products(jacobians_TxSxS: Array, direct_TxS: Array) -> Array:
    """dL/ds_t, (T, S), t = 1 ... T, from the Jacobians and the loss's direct part.

    `direct_TxS` is the derivative of the loss by s_t with all later states held fixed.
    """

    def backward(later_S: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        jacobian_next, direct = row
        here = jacobian_next.T @ later_S + direct
        return here, here

    # J_{t+1} maps the adjoint of s_{t+1} to s_t; the last step has no successor
    following = jnp.concatenate([jacobians_TxSxS[1:], jnp.zeros_like(jacobians_TxSxS[:1])])
    start = jnp.zeros_like(direct_TxS[0])
    return jax.lax.scan(backward, start, (following, direct_TxS), reverse=True)[1]
