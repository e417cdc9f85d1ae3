"""Recurrences that are linear in their state, over a whole sequence in parallel.

    s_t = a_t * s_{t-1} + b_t

Two steps compose to one of the same form, (a_2 a_1, a_2 b_1 + b_2). Composition is
associative, so all T states take O(log T) parallel rounds: Blelloch 1990, "Prefix sums
and their applications"; Martin & Cundy 2018, "Parallelizing linear recurrent neural
nets over sequence length". Program size and compile time grow like log T.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnexp.cells.base import States
from rnnexp.core.types import Array, Params, State


def linear_scan(a_Tx: Array, b_Tx: Array, start: Array) -> Array:
    """s_1 ... s_T of s_t = a_t * s_{t-1} + b_t with s_0 = `start`; real or complex.

    The states solve the bidiagonal system s_t - a_t * s_{t-1} = b_t. As a linear solve it
    has derivatives of both modes that are scans of this kind (the backward one runs from
    T to 1); they compile and run faster than derivatives of the rounds themselves.
    """
    b_Tx = b_Tx.at[0].add(a_Tx[0] * start)

    def residual(states_Tx: Array) -> Array:
        return states_Tx.at[1:].add(-a_Tx[1:] * states_Tx[:-1])

    def solve(_: Callable[[Array], Array], right_Tx: Array) -> Array:
        return scan_from_zero(a_Tx, right_Tx)

    def transpose_solve(_: Callable[[Array], Array], right_Tx: Array) -> Array:
        # adj_t - a_{t+1} * adj_{t+1} = right_t; the value in place of a_{T+1} multiplies 0
        return scan_from_zero(jnp.roll(a_Tx, -1, axis=0)[::-1], right_Tx[::-1])[::-1]

    states_Tx: Array = jax.lax.custom_linear_solve(residual, b_Tx, solve, transpose_solve)
    return states_Tx


def scan_from_zero(a_Tx: Array, b_Tx: Array) -> Array:
    """s_1 ... s_T of s_t = a_t * s_{t-1} + b_t with s_0 = 0."""

    def compose(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        (a_1, b_1), (a_2, b_2) = earlier, later
        return a_2 * a_1, a_2 * b_1 + b_2

    states_Tx: Array = jax.lax.associative_scan(compose, (a_Tx, b_Tx))[1]
    return states_Tx


def linear_paths(
    coefficients: Callable[[Params, Array], tuple[Array, Array]],
) -> tuple[Callable[[Params, State, Array], State], States]:
    """`Cell.transition` and `Cell.states` where the state is `h` alone, linear and real.

    Args:
      coefficients: `(params, x) -> (a, b)` of one step; both have the state's shape.
    """

    def transition(params: Params, state: State, x_I: Array) -> State:
        a, b = coefficients(params, x_I)
        return {"h": a * state["h"] + b}

    def states(params: Params, state: State, x_TxI: Array, slots: State) -> State:
        a_Tx, b_Tx = jax.vmap(coefficients, (None, 0))(params, x_TxI)
        if "h" in slots:
            b_Tx = b_Tx + slots["h"]
        return {"h": linear_scan(a_Tx, b_Tx, state["h"])}

    return transition, states
