"""Cells of any kind over a whole sequence at once, by Newton's iteration in time (DEER).

The states s_1 ... s_T are the solution of s_t = f(s_{t-1}, x_t) for all t together. One
iteration adds to a guess of all of them the d_t of the linear recurrence

    d_t = J_t d_{t-1} + r_t,  d_0 = 0,  J_t = df/ds at s_{t-1},  r_t = f(s_{t-1}, x_t) - s_t

which an associative scan solves in O(log T) rounds. Lim, Zhu, Selfridge & Kasim 2024,
"Parallelizing non-linear sequential models over the sequence length" (DEER). With the
diagonal of J_t in its place the rounds need no products of matrices, but more iterations:
Gonzalez, Warrington, Smith & Linderman 2024, "Towards scalable and stable parallelization of
nonlinear RNNs" (quasi-DEER). The only fixed point of both is the states of the scan.
Iterations are few where perturbations of the state decay, that is where the largest Lyapunov
exponent is negative: Gonzalez, Kozachkov, Zoltowski, Clarkson & Linderman 2025,
"Predictability enables parallelization of nonlinear state space models".

| for S numbers of state | `full` | `diagonal` |
| --- | --- | --- |
| operations of an iteration | T*B*S^3 for products | S tangents pushed through all steps |
| memory of an iteration | T*B*S^2 numbers | T*B*S numbers, a few times |
| backward | one linear recurrence with the J_t | a scan over time, transition by transition |

No derivative goes through the iteration. At the solution the adjoints a_t = dL/ds_t satisfy
a_t = J_{t+1}^T a_{t+1} + (the direct gradient by s_t), with the exact J_t. Diagonals cannot
give that: an iteration would have to continue until the smallest a_t, often many orders of
magnitude below the largest, is right too. So `diagonal` scans backwards, and only its sums
over parameters and inputs are parallel; in return it never stores the matrices.

States, gradients and adjoints agree with those of the scan, relative to the largest entry of
each array, to 1e-9 in float64; in float32 to 1e-4 with `full` and 1e-3 with `diagonal`, which
converges more slowly. (Over all cells and 200 steps they differ by at most 5e-14 and 3e-11
in float64, 1e-5 and 2e-4 in float32.) Products have full precision on accelerators: in less
the iteration would not converge.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.masking import states_before, valid_steps
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.newton.steps import (
    FlatStep,
    StepRows,
    diagonals,
    everywhere,
    jacobians,
    one_step,
    scanned,
    scanned_adjoints,
    solve_adjoint,
    solve_linear,
)

MOST_ITERATIONS = {"full": 32, "diagonal": 128}
"""By method; after so many without convergence the sequences are scanned."""


class NewtonStats(NamedTuple):
    """Linear recurrences that a batch took, the last of which confirms, and whether they
    converged. If not, the states are those of a scan."""

    iterations: Array
    converged: Array


def newton_states(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    method: str,
    slots: State | None = None,
    lengths_B: Array | None = None,
) -> tuple[State, NewtonStats]:
    """The states after every step, leaves (T, B, ...), and the statistics of the iteration.

    Args:
      params: from `cell.prepare`.
      state: the state before the first step, leaves (B, ...).
      method: `full` or `diagonal`; see the module's docstring.
      slots: added to leaves of the state after every step, (T, B, ...).
      lengths_B: valid steps; after them a sequence's state is held.

    Where the iteration does not converge within `MOST_ITERATIONS`, or is not finite, the whole
    batch is scanned and differentiated step by step.
    """
    valid_TxB = None if lengths_B is None else valid_steps(inputs_TxBxI.shape[0], lengths_B)
    rows = StepRows(inputs_TxBxI, slots or {}, valid_TxB)
    start_BxS = jax.vmap(lambda leaves: ravel_pytree(leaves)[0])(state)
    states_TxBxS, stats = _solve(cell, method, params, start_BxS, rows)
    unravel = ravel_pytree(cell.init_state(params))[1]
    return everywhere(unravel)(states_TxBxS), stats


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(
    cell: Cell, method: str, params: Params, start_BxS: Array, rows: StepRows
) -> tuple[Array, NewtonStats]:
    with jax.default_matmul_precision("float32"):
        step = one_step(cell, params)
        guess_TxBxS, stats = _iterate(step, method, start_BxS, rows)
        states_TxBxS: Array = jax.lax.cond(
            stats.converged, lambda: guess_TxBxS, lambda: scanned(step, start_BxS, rows)
        )
    return states_TxBxS, stats


def _solve_forward(
    cell: Cell, method: str, params: Params, start_BxS: Array, rows: StepRows
) -> tuple[tuple[Array, NewtonStats], Any]:
    states_TxBxS, stats = _solve(cell, method, params, start_BxS, rows)
    return (states_TxBxS, stats), (params, start_BxS, rows, states_TxBxS, stats.converged)


def _solve_backward(
    cell: Cell, method: str, kept: Any, cotangents: Any
) -> tuple[Params, Array, StepRows]:
    """Given dL/ds_t, the cotangents of parameters, first state and rows are those of the single
    steps, all at once."""
    params, start_BxS, rows, states_TxBxS, converged = kept
    before_TxBxS = states_before(start_BxS, states_TxBxS)

    def steps(params: Params, before_TxBxS: Array, x_TxBxI: Array, slots: State) -> Any:
        every = everywhere(one_step(cell, params))
        return every(before_TxBxS, StepRows(x_TxBxI, slots, rows.valid_TxB))

    with jax.default_matmul_precision("float32"):
        step = one_step(cell, params)
        adjoint_TxBxS = _adjoints(step, method, before_TxBxS, rows, cotangents[0], converged)
        _, vjp = jax.vjp(steps, params, before_TxBxS, rows.x_TxBxI, rows.slots)
        d_params, d_before, d_x, d_slots = vjp(adjoint_TxBxS)
    return d_params, d_before[0], StepRows(d_x, d_slots, None)


_solve.defvjp(_solve_forward, _solve_backward)


def _iterate(
    step: FlatStep, method: str, start_BxS: Array, rows: StepRows
) -> tuple[Array, NewtonStats]:
    """Newton's iteration, with the first state as the guess for every step.

    It has converged when no number changes by more than eps^(3/4) of the largest one, or of 1
    if that is larger: 2e-12 in float64, 6e-6 in float32, which is above rounding errors.
    """
    linearise = jacobians if method == "full" else diagonals
    tolerance = float(jnp.finfo(start_BxS.dtype).eps) ** 0.75
    most = MOST_ITERATIONS[method]
    Carry = tuple[Array, Array, Array]

    def goes_on(carry: Carry) -> Array:
        _, count, change = carry
        more: Array = (count < most) & (change > tolerance)  # a NaN ends it
        return more

    def improve(carry: Carry) -> Carry:
        guess_TxBxS, count, _ = carry
        new_TxBxS, slopes = linearise(step, states_before(start_BxS, guess_TxBxS), rows)
        move_TxBxS = solve_linear(slopes, new_TxBxS - guess_TxBxS)
        guess_TxBxS = guess_TxBxS + move_TxBxS
        largest = jnp.maximum(jnp.max(jnp.abs(guess_TxBxS)), 1.0)
        return guess_TxBxS, count + 1, jnp.max(jnp.abs(move_TxBxS)) / largest

    guess_TxBxS = jnp.broadcast_to(start_BxS, (rows.x_TxBxI.shape[0], *start_BxS.shape))
    carry = guess_TxBxS, jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf, start_BxS.dtype)
    guess_TxBxS, count, change = jax.lax.while_loop(goes_on, improve, carry)
    return guess_TxBxS, NewtonStats(count, change <= tolerance)


def _adjoints(
    step: FlatStep,
    method: str,
    before_TxBxS: Array,
    rows: StepRows,
    direct_TxBxS: Array,
    converged: Array,
) -> Array:
    """dL/ds_t of all steps, (T, B, S), from the direct gradients by s_t.

    By a scan for `diagonal`, where the states had to be scanned, and where products of
    Jacobians are not finite; else by one linear recurrence.
    """

    def one_by_one() -> Array:
        return scanned_adjoints(step, before_TxBxS, rows, direct_TxBxS)

    def together() -> Array:
        _, slopes_TxBxSxS = jacobians(step, before_TxBxS, rows)
        return solve_adjoint(slopes_TxBxSxS, direct_TxBxS)

    if method != "full":
        return one_by_one()
    solved = jax.lax.cond(converged, together, lambda: jnp.full_like(direct_TxBxS, jnp.nan))
    finite = jnp.all(jnp.isfinite(solved))
    adjoint_TxBxS: Array = jax.lax.cond(finite, lambda: solved, one_by_one)
    return adjoint_TxBxS
