"""Gates near 0 or 1, what the gates keep of the state, and units that no longer move.

A saturated gate has almost no slope: what it lets through or holds back can hardly be
learned any more. A gate that keeps the fraction f of a state every step gives it the time
constant -1/ln f steps, over which it falls to 1/e (Tallec & Ollivier 2018, "Can recurrent
neural networks warp time?"). A tanh unit near +-1 passes little gradient through its step,
and a unit that never changes carries no information.

All of it is computed from a trajectory (`keep_states=True` of a model), over valid steps only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.masking import reverse_valid, states_before, valid_steps
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.unroll import Trajectory, reading_context

LOW = 0.1
"""A gate below this is shut."""
HIGH = 0.9
"""A gate above this is open. (Both as in Karpathy, Johnson & Li 2015, "Visualizing and
understanding recurrent networks".)"""
DEAD_RANGE = 1e-3
"""A unit is dead if largest minus smallest value over all steps and examples is at most this."""
SATURATED_VALUE = 0.9
"""A tanh unit whose magnitude is above this is saturated at that step: its slope is below
0.19."""
SATURATED_FRACTION = 0.95
"""A unit is saturated if it is so at more than this fraction of the steps."""


class GateSaturation(NamedTuple):
    """By gate and step, (T,) each; NaN at steps that no example has.

    Attributes:
      low, high: fractions of units and examples whose gate is below `LOW`, above `HIGH`.
      mean: the gate's mean over units and examples.
    """

    low: dict[str, Array]
    high: dict[str, Array]
    mean: dict[str, Array]


class HiddenSaturation(NamedTuple):
    """Fractions of the units that are dead and that are saturated, 0 to 1. A unit that stands
    still at +-1 is both."""

    dead: Array
    saturated: Array


def gate_saturation(
    cell: Cell,
    params: Params,
    trajectory: Trajectory,
    lengths_B: Array | None = None,
    *,
    backward: bool = False,
) -> GateSaturation:
    """How many of a cell's gates are shut or open at every step of a trajectory.

    Args:
      params: the cell's, prepared or not.
      lengths_B: valid steps of each example; None: all.
      backward: the unit reads backwards; what comes back is in the sequence's own order.

    Returns:
      Empty dicts for a cell without gates.
    """
    cell, params, trajectory = reading_context(cell, params, trajectory)
    steps, batch_size, _ = trajectory.inputs_TxBxI.shape
    params = cell.prepare(params)
    before = states_before(trajectory.start, trajectory.states)

    def at(row: tuple[State, Array]) -> dict[str, Array]:
        state, x_BxI = row
        gates = jax.vmap(cell.gates, in_axes=(None, 0, 0))(params, state, x_BxI)
        return {name: _fractions(gate.reshape(batch_size, -1)) for name, gate in gates.items()}

    fractions = jax.lax.map(at, (before, trajectory.inputs_TxBxI))
    if backward:
        fractions = {k: reverse_valid(value, lengths_B) for k, value in fractions.items()}
    valid_TxB = valid_steps(steps, lengths_B)
    means = {name: _mean_over_examples(value, valid_TxB) for name, value in fractions.items()}
    return GateSaturation(*({name: m[:, k] for name, m in means.items()} for k in range(3)))


def kept_fraction(cell: Cell, gates: GateSaturation) -> Array | None:
    """The mean fraction of its state that a cell keeps at each step, (T,).

    None for a cell whose gates do not say it: see `Cell.kept_fraction`.
    """
    return None if cell.kept_fraction is None else cell.kept_fraction(gates.mean)


def time_constant(kept_T: Array) -> Array:
    """-1/ln of the fraction that is kept of a state a step, in steps: inf at 1, 0 at 0."""
    inside_T = (kept_T > 0) & (kept_T < 1)
    steps_T = -1.0 / jnp.log(jnp.where(inside_T, kept_T, jnp.full_like(kept_T, 0.5)))
    steps_T = jnp.where(kept_T <= 0, jnp.zeros_like(kept_T), steps_T)
    steps_T = jnp.where(kept_T >= 1, jnp.full_like(kept_T, jnp.inf), steps_T)
    return jnp.where(jnp.isnan(kept_T), kept_T, steps_T)


def hidden_saturation(states_TxBxH: Array, lengths_B: Array | None = None) -> HiddenSaturation:
    """Fractions of dead and saturated units of a hidden leaf over its valid steps.

    Saturation is a statement about units bounded by 1, such as those of tanh. Axes after
    the second are all units (the parts of a complex state each for itself).
    """
    steps, batch_size = states_TxBxH.shape[:2]
    x_TxBxH = states_TxBxH.reshape(steps, batch_size, -1)
    valid = jnp.broadcast_to(valid_steps(steps, lengths_B)[:, :, None], x_TxBxH.shape)
    largest_H = jnp.max(jnp.where(valid, x_TxBxH, jnp.full_like(x_TxBxH, -jnp.inf)), (0, 1))
    smallest_H = jnp.min(jnp.where(valid, x_TxBxH, jnp.full_like(x_TxBxH, jnp.inf)), (0, 1))
    dtype = x_TxBxH.dtype
    beyond_H = jnp.sum((jnp.abs(x_TxBxH) > SATURATED_VALUE) & valid, (0, 1)).astype(dtype)
    # compared as counts: a compiled division by a constant rounds otherwise
    most_H = SATURATED_FRACTION * jnp.sum(valid, (0, 1)).astype(dtype)
    return HiddenSaturation(
        jnp.mean((largest_H - smallest_H <= DEAD_RANGE).astype(dtype)),
        jnp.mean((beyond_H > most_H).astype(dtype)),
    )


def _fractions(gate_BxH: Array) -> Array:
    """Of each example: fractions of units shut and open, and the mean, (B, 3)."""
    shut, open_ = (gate_BxH < LOW).astype(gate_BxH.dtype), (gate_BxH > HIGH).astype(gate_BxH.dtype)
    return jnp.stack([jnp.mean(shut, 1), jnp.mean(open_, 1), jnp.mean(gate_BxH, 1)], -1)


def _mean_over_examples(x_TxBx3: Array, valid_TxB: Array) -> Array:
    """Mean over valid examples, (T, 3); NaN where there is none."""
    valid = jnp.broadcast_to(valid_TxB[:, :, None], x_TxBx3.shape)
    total = jnp.sum(jnp.where(valid, x_TxBx3, jnp.zeros_like(x_TxBx3)), 1)
    count = jnp.sum(valid, 1).astype(x_TxBx3.dtype)
    mean: Array = total / jnp.where(count > 0, count, jnp.full_like(count, jnp.nan))
    return mean
