"""Growth of tangent vectors along a cell's trajectories, after a warm-up, in blocks of time."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.linalg import Basis, orthonormalise
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.gradflow.tangent_scan import Pushed, free_directions, scan_growth, tangent_push
from rnnexp.scan.step import flat_state
from rnnexp.scan.unroll import unroll

BLOCKS = 16  # into which the kept steps are divided for the error bar
COPIES = 8  # of the tangent vectors, alive at once in the compiled step
Row = tuple[Array | None, Array, Array]
"""An interval's inputs, whether it counts, and its block."""
Total = tuple[Array, Array]
"""Growth by block, (G, B, K), and how often each vector was lost, (K,)."""


class TangentSchedule(NamedTuple):
    """The division of T steps: a lead that fills no interval, the warm-up, the kept intervals."""

    lead_steps: int
    interval_steps: int
    warmup_intervals: int
    kept_intervals: int

    @property
    def block_intervals(self) -> np.ndarray:
        """The block of every kept interval, in order."""
        blocks = min(BLOCKS, self.kept_intervals)
        return np.arange(self.kept_intervals) * blocks // self.kept_intervals


class TangentGrowth(NamedTuple):
    """Growth of every trajectory's tangent vectors after the warm-up.

    Mean rates in G blocks of time (nats per step), each block's fraction of the kept steps,
    and the fraction of re-orthogonalisations, over time and trajectories, that lost a vector.
    """

    rates_GxBxK: Array
    weights_G: Array
    lost_K: Array


def schedule(steps: int, warmup_steps: int, interval_steps: int) -> TangentSchedule:
    """Divide T steps into a warm-up of at least `warmup_steps` and two or more whole intervals."""
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
    return TangentSchedule(lead, interval_steps, intervals - kept, kept)


def resolve_count(free_S: np.ndarray, count: int | None) -> int:
    """The number of tangent vectors; None: one for every free coordinate."""
    free = int(free_S.sum())
    if count is not None and not 1 <= count <= free:
        raise UsageError(f"count must lie in 1 ... {free} (coordinates of the state), not {count}")
    return free if count is None else count


def tangent_bytes(
    cell: Cell, params: Params, batch_size: int, count: int | None, dtype: DTypeLike
) -> int:
    """Bytes of the tangent vectors in a step and its re-orthogonalisation; `count` None: all S.

    `COPIES` of `batch_size` * `count` * S numbers: the basis, its image, the step's intermediate
    tangents, and the new basis; without trajectories, weights and the compiled program.
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
    plan: TangentSchedule,
) -> TangentGrowth:
    """Propagate tangent vectors along B trajectories and measure their growth.

    Compile time and memory do not grow with T. Products are in full float32 precision, which
    accelerators reduce by default: rounding limits the exponents that can be resolved.

    Args:
      start: the state before the first step, leaves (B, ...).
      inputs: (T, B, I), or (I,) for the same input at every step of all trajectories.
    """
    with jax.default_matmul_precision("float32"):
        params = cell.prepare(params)
        if lead := plan.lead_steps:
            shape = lead, tangents_BxKxS.shape[0], cell.input_size
            lead_x = inputs[:lead] if inputs.ndim == 3 else jnp.broadcast_to(inputs, shape)
            start = unroll(cell, params, lead_x, state=start).final_state
            inputs = inputs[lead:] if inputs.ndim == 3 else inputs
        states_BxS = jax.vmap(flat_state)(start)
        return _growth(cell, params, (states_BxS, tangents_BxKxS), inputs, plan)


def _growth(
    cell: Cell, params: Params, pushed: Pushed, inputs: Array, plan: TangentSchedule
) -> TangentGrowth:
    """The scan over intervals, with sums of growth by block."""
    step = _make_step(cell, params, inputs)
    blocks_N = plan.block_intervals
    intervals_G = np.bincount(blocks_N)

    def advance(pushed: Pushed, row: Row) -> Pushed:
        result: Pushed = jax.lax.scan(step, pushed, row[0], plan.interval_steps)[0]
        return result

    def add(total: Total, basis: Basis, row: Row) -> Total:
        (sums_GxBxK, lost_K), (_, kept, block) = total, row
        sums_GxBxK = sums_GxBxK.at[block].add(jnp.where(kept, basis.growth_K, 0.0))
        return sums_GxBxK, lost_K + jnp.sum(kept & basis.lost_K, axis=0, dtype=jnp.int32)

    rows_x = None
    if inputs.ndim == 3:
        rows_x = inputs.reshape(-1, plan.interval_steps, *inputs.shape[1:])
    kept = np.arange(plan.warmup_intervals + len(blocks_N)) >= plan.warmup_intervals
    blocks = np.pad(blocks_N, (plan.warmup_intervals, 0))
    rows = (rows_x, jnp.asarray(kept), jnp.asarray(blocks, jnp.int32))
    batch_size, count, _ = pushed[1].shape
    sums = jnp.zeros((len(intervals_G), batch_size, count), pushed[1].dtype)
    sums, lost_K = scan_growth(advance, pushed, rows, (sums, jnp.zeros(count, jnp.int32)), add)
    steps_G = jnp.asarray(intervals_G * plan.interval_steps, sums.dtype)
    lost_K = lost_K.astype(sums.dtype) / (len(blocks_N) * batch_size)
    return TangentGrowth(sums / steps_G[:, None, None], steps_G / jnp.sum(steps_G), lost_K)


def _make_step(cell: Cell, params: Params, inputs: Array) -> Callable[..., tuple[Pushed, None]]:
    """`(pushed, x) -> (pushed, None)` of all trajectories; `x` None: the constant input."""
    push = tangent_push(cell, params)

    def step(pushed: Pushed, x_BxI: Array | None) -> tuple[Pushed, None]:
        if x_BxI is None:
            return jax.vmap(push, (0, 0, None))(*pushed, inputs), None
        return jax.vmap(push)(*pushed, x_BxI), None

    return step
