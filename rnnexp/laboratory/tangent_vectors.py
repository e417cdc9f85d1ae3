"""Tangent vectors pushed along a cell's trajectories, and how much each of them grows.

With J_t = ds_t/ds_{t-1} and Q_0 orthonormal, J_t Q_{t-1} = Q_t R_t. The mean of ln R_kk
over time is the k-th Lyapunov exponent: Benettin, Galgani, Giorgilli & Strelcyn 1980,
"Lyapunov characteristic exponents for smooth dynamical systems", Meccanica 15. J_t is
never formed: its product with each vector is one JVP of the step.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.linalg import orthonormalise
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.scan.unroll import unroll

BLOCKS = 16  # into which the kept stretch is cut for the error bar
COPIES = 8  # of the tangent vectors, alive at once in the compiled step


class Schedule(NamedTuple):
    """How T steps are used: a lead that fills no interval, the warm-up, what is kept."""

    lead_steps: int
    interval_steps: int
    warmup_intervals: int
    kept_intervals: int

    @property
    def block_intervals(self) -> np.ndarray:
        """The block of every kept interval, in order."""
        blocks = min(BLOCKS, self.kept_intervals)
        return np.arange(self.kept_intervals) * blocks // self.kept_intervals


class Growth(NamedTuple):
    """What the tangent vectors of every trajectory did after the warm-up.

    Mean rates in G blocks of time (nats per step), each block's share of the kept steps,
    and the share of re-orthogonalisations, over time and trajectories, that lost a vector.
    """

    rates_GxBxK: Array
    weights_G: Array
    lost_K: Array


def schedule(steps: int, warmup_steps: int, interval_steps: int) -> Schedule:
    """Cut T steps into a warm-up of at least `warmup_steps` and two or more whole intervals."""
    if interval_steps < 1 or warmup_steps < 0:
        raise UsageError(
            "interval_steps must be at least 1 and warmup_steps at least 0, "
            f"not {interval_steps} and {warmup_steps}"
        )
    kept = (steps - warmup_steps) // interval_steps
    if kept < 2:
        raise UsageError(
            f"{steps} steps leave fewer than two intervals of interval_steps={interval_steps} "
            f"after warmup_steps={warmup_steps}; give more steps, or lower one of the two"
        )
    intervals, lead = divmod(steps, interval_steps)
    return Schedule(lead, interval_steps, intervals - kept, kept)


def free_directions(cell: Cell, params: Params, leave_out: Sequence[str]) -> np.ndarray:
    """Which of the S coordinates of the flattened state a tangent vector may start along.

    Raises UsageError where the state has no leaf of such a name.
    """
    shapes = jax.eval_shape(cell.init_state, params)
    for leaf in leave_out:
        require_choice("state leaf", leaf, shapes)
    # in the order of `ravel_pytree`: by name
    return np.concatenate([np.full(shapes[k].size, k not in leave_out) for k in sorted(shapes)])


def resolve_count(free_S: np.ndarray, count: int | None) -> int:
    """The number of tangent vectors; None: one for every free coordinate."""
    free = int(free_S.sum())
    if count is not None and not 1 <= count <= free:
        raise UsageError(f"count must lie in 1 ... {free} (coordinates of the state), not {count}")
    return free if count is None else count


def tangent_bytes(
    cell: Cell, params: Params, batch_size: int, count: int | None, dtype: DTypeLike
) -> int:
    """Bytes that the tangent vectors take while they are pushed and re-orthogonalised.

    `batch_size` * `count` * S numbers: the basis, its image under the step, the step's
    intermediate tangents, and the new basis. `count` None: all S. Trajectories, weights
    and the compiled program come on top.
    """
    size = free_directions(cell, params, ()).size
    vectors = batch_size * (size if count is None else count)
    return COPIES * vectors * size * jnp.dtype(dtype).itemsize


@functools.partial(jax.jit, static_argnames=("batch_size", "count", "dtype"))
def first_tangents(key: Key, free_S: Array, batch_size: int, count: int, dtype: DTypeLike) -> Array:
    """Random orthonormal vectors, (B, K, S), along the free coordinates."""
    drawn = jax.random.normal(key, (batch_size, count, free_S.size), dtype)
    return jax.vmap(orthonormalise)(jnp.where(free_S[None, None], drawn, 0.0)).rows_KxS


@functools.partial(jax.jit, static_argnames=("cell", "plan"))
def tangent_growth(
    cell: Cell,
    params: Params,
    start: State,
    tangents_BxKxS: Array,
    inputs: Array,
    plan: Schedule,
) -> Growth:
    """Push tangent vectors along B trajectories and measure how much they grow.

    Compile time and memory do not grow with T. Products of float32 are asked for in full
    precision, which accelerators shorten otherwise: rounding bounds what can be resolved.

    Args:
      start: where each trajectory starts, leaves (B, ...).
      inputs: (T, B, I), or (I,) for the same input at every step of all trajectories.
    """
    with jax.default_matmul_precision("float32"):
        params = cell.prepare(params)
        if lead := plan.lead_steps:
            shape = lead, tangents_BxKxS.shape[0], cell.input_size
            lead_x = inputs[:lead] if inputs.ndim == 3 else jnp.broadcast_to(inputs, shape)
            start = unroll(cell, params, lead_x, state=start).final_state
            inputs = inputs[lead:] if inputs.ndim == 3 else inputs
        states_BxS = jax.vmap(lambda state: ravel_pytree(state)[0])(start)
        return _scan_growth(cell, params, (states_BxS, tangents_BxKxS), inputs, plan)


Pushed = tuple[Array, Array]
"""States (B, S) and tangent vectors (B, K, S)."""


def _scan_growth(
    cell: Cell, params: Params, pushed: Pushed, inputs: Array, plan: Schedule
) -> Growth:
    """The scan over intervals; growth is added up block by block."""
    step = _make_step(cell, params, inputs)

    def interval(carry: tuple, row: tuple) -> tuple[tuple, None]:
        pushed, sums_GxBxK, lost_K = carry
        x_NxBxI, kept, block = row
        (states, tangents), _ = jax.lax.scan(step, pushed, x_NxBxI, plan.interval_steps)
        basis = jax.vmap(orthonormalise)(tangents)
        sums_GxBxK = sums_GxBxK.at[block].add(jnp.where(kept, basis.growth_K, 0.0))
        lost_K = lost_K + jnp.sum(kept & basis.lost_K, axis=0, dtype=jnp.int32)
        return ((states, basis.rows_KxS), sums_GxBxK, lost_K), None

    rows_x = None
    if inputs.ndim == 3:
        rows_x = inputs.reshape(-1, plan.interval_steps, *inputs.shape[1:])
    blocks_N = plan.block_intervals
    intervals_G = np.bincount(blocks_N)
    kept = np.arange(plan.warmup_intervals + len(blocks_N)) >= plan.warmup_intervals
    blocks = np.pad(blocks_N, (plan.warmup_intervals, 0))
    batch_size, count, _ = pushed[1].shape
    sums = jnp.zeros((len(intervals_G), batch_size, count), pushed[1].dtype)
    carry = (pushed, sums, jnp.zeros(count, jnp.int32))
    rows = (rows_x, jnp.asarray(kept), jnp.asarray(blocks, jnp.int32))
    (_, sums, lost_K), _ = jax.lax.scan(interval, carry, rows)
    steps_G = jnp.asarray(intervals_G * plan.interval_steps, sums.dtype)
    share_K = lost_K.astype(sums.dtype) / (len(blocks_N) * batch_size)
    return Growth(sums / steps_G[:, None, None], steps_G / jnp.sum(steps_G), share_K)


def _make_step(cell: Cell, params: Params, inputs: Array) -> Callable[..., tuple[Pushed, None]]:
    """`(pushed, x) -> (pushed, None)` of all trajectories; no `x`: the constant input."""
    unravel = ravel_pytree(cell.init_state(params))[1]

    def push(state_S: Array, tangents_KxS: Array, x_I: Array) -> Pushed:
        def transition(state_S: Array) -> Array:
            return ravel_pytree(cell.transition(params, unravel(state_S), x_I))[0]

        new_S, times_jacobian = jax.linearize(transition, state_S)
        return new_S, jax.vmap(times_jacobian)(tangents_KxS)

    def step(pushed: Pushed, x_BxI: Array | None) -> tuple[Pushed, None]:
        if x_BxI is None:
            return jax.vmap(push, (0, 0, None))(*pushed, inputs), None
        return jax.vmap(push)(*pushed, x_BxI), None

    return step
