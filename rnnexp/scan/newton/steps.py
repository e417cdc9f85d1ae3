"""All steps of a sequence at once: their results, their Jacobians, and linear recurrences.

States are flattened, S numbers an example, whatever leaves they have.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.cells.linear_scan import scan_from_zero
from rnnexp.core.types import Array, Params, State

TANGENTS = 8  # pushed forward at once for diagonals


class StepRows(NamedTuple):
    """The arguments of every step besides the state: its input, what is added to leaves of its
    result, and whether it is valid (None: all are)."""

    x_TxBxI: Array
    slots: State
    valid_TxB: Array | None


FlatStep = Callable[[Array, StepRows], Array]
"""`(state_S, row) -> state_S` of one example."""
Pair = tuple[Array, Array]
"""Slopes and right sides of some consecutive steps, as one step of the same form."""


def one_step(cell: Cell, params: Params) -> FlatStep:
    """A step of one example on its flattened state; a step that is not valid holds it."""
    unravel = ravel_pytree(cell.init_state(params))[1]

    def step(state_S: Array, row: StepRows) -> Array:
        x_I, slots, valid = row
        new = dict(cell.transition(params, unravel(state_S), x_I))
        new_S: Array = ravel_pytree({**new, **{k: new[k] + v for k, v in slots.items()}})[0]
        return new_S if valid is None else jnp.where(valid, new_S, state_S)

    return step


def everywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one step and example, mapped over all."""
    return jax.vmap(jax.vmap(function))


def scanned(step: FlatStep, start_BxS: Array, rows: StepRows) -> Array:
    """The states (T, B, S), one after the other."""

    def body(state_BxS: Array, row: StepRows) -> Pair:
        new_BxS = jax.vmap(step)(state_BxS, row)
        return new_BxS, new_BxS

    return jax.lax.scan(body, start_BxS, rows)[1]


def scanned_adjoints(
    step: FlatStep, before_TxBxS: Array, rows: StepRows, direct_TxBxS: Array
) -> Array:
    """a_t = J_{t+1}^T a_{t+1} + direct_t from the last step to the first, (T, B, S)."""

    def body(later_BxS: Array, terms: tuple[Array, Array, StepRows]) -> Pair:
        direct_BxS, before_BxS, row = terms
        adjoint_BxS = later_BxS + direct_BxS
        _, vjp = jax.vjp(lambda state_BxS: jax.vmap(step)(state_BxS, row), before_BxS)
        return vjp(adjoint_BxS)[0], adjoint_BxS

    last_BxS = jnp.zeros_like(direct_TxBxS[0])
    terms = (direct_TxBxS, before_TxBxS, rows)
    return jax.lax.scan(body, last_BxS, terms, reverse=True)[1]


def jacobians(step: FlatStep, before_TxBxS: Array, rows: StepRows) -> Pair:
    """The results of all steps, (T, B, S), and the Jacobians by their states, (T, B, S, S)."""

    def both(state_S: Array, row: StepRows) -> Pair:
        new_S = step(state_S, row)
        return new_S, new_S

    slopes, new_TxBxS = everywhere(jax.jacfwd(both, has_aux=True))(before_TxBxS, rows)
    return new_TxBxS, slopes


def diagonals(step: FlatStep, before_TxBxS: Array, rows: StepRows) -> Pair:
    """The results of all steps and the diagonals of the Jacobians, both (T, B, S).

    One tangent is pushed along each coordinate of the state, `TANGENTS` at a time, so that
    the matrices are never in memory.
    """
    size = before_TxBxS.shape[-1]
    new_TxBxS, push = jax.linearize(lambda at: everywhere(step)(at, rows), before_TxBxS)

    def entry(k: Array) -> Array:
        unit_S = jax.nn.one_hot(k, size, dtype=before_TxBxS.dtype)
        pushed_TxBxS: Array = push(jnp.broadcast_to(unit_S, before_TxBxS.shape))
        return pushed_TxBxS[..., k]

    each_SxTxB = jax.lax.map(entry, jnp.arange(size), batch_size=min(size, TANGENTS))
    return new_TxBxS, jnp.moveaxis(each_SxTxB, 0, -1)


def solve_linear(slopes: Array, right_TxBxS: Array) -> Array:
    """d_1 ... d_T of d_t = J_t d_{t-1} + r_t with d_0 = 0, in O(log T) parallel rounds.

    Args:
      slopes: the J_t as matrices, (T, B, S, S), or as diagonals, (T, B, S).
    """
    if slopes.ndim == right_TxBxS.ndim:
        return scan_from_zero(slopes, right_TxBxS)

    def compose(earlier: Pair, later: Pair) -> Pair:
        (a_1, b_1), (a_2, b_2) = earlier, later
        return a_2 @ a_1, jnp.einsum("...ij,...j->...i", a_2, b_1) + b_2

    solved_TxBxS: Array = jax.lax.associative_scan(compose, (slopes, right_TxBxS))[1]
    return solved_TxBxS


def solve_adjoint(slopes_TxBxSxS: Array, direct_TxBxS: Array) -> Array:
    """a_t = J_{t+1}^T a_{t+1} + direct_t, a_{T+1} = 0, in O(log T) parallel rounds."""
    following = jnp.concatenate([slopes_TxBxSxS[1:], jnp.zeros_like(slopes_TxBxSxS[:1])])
    return solve_linear(jnp.swapaxes(following, -1, -2)[::-1], direct_TxBxS[::-1])[::-1]
