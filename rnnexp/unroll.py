"""The only scan over time in the project.

Cells are written for one example and one step; here they are mapped over the batch
and scanned over time. Compile time does not depend on T.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.types import Array, Params, State, Tree


class Probe(NamedTuple):
    """Something that sits on the state after every step, between recurrence and output.

    Attributes:
      apply: `(state_Bx..., slot_t) -> state`, of the same structure.
      slots: a tree whose leaves have a leading time axis; `apply` gets its row t.
    """

    apply: Callable[[State, Tree], State]
    slots: Tree


class Unrolled(NamedTuple):
    """States after every sequence's last valid step, its output then, and all outputs."""

    final_state: State
    final_BxH: Array
    outputs_TxBxH: Array


def initial_state(cell: Cell, params: Params, batch_size: int) -> State:
    """The cell's initial state, the same for every example of the batch."""
    state = cell.init_state(params)
    return {k: jnp.broadcast_to(v, (batch_size, *v.shape)) for k, v in state.items()}


def unroll(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    *,
    lengths_B: Array | None = None,
    state: State | None = None,
    probe: Probe | None = None,
) -> Unrolled:
    """Run a cell over a batch of sequences.

    Args:
      lengths_B: number of valid steps of each sequence. From there on its state is
        held and its outputs are those of the held state, so nothing after the end acts
        on the final state, and no gradient enters the steps after it. None: all T.
      state: where to start; None: the cell's initial state.
      probe: applied to the state after every step (see `Probe`).

    Returns:
      Final states, final outputs and all outputs.
    """
    steps, batch_size, _ = inputs_TxBxI.shape
    if state is None:
        state = initial_state(cell, params, batch_size)
    transition = jax.vmap(cell.transition, in_axes=(None, 0, 0))
    output = jax.vmap(cell.output, in_axes=(None, 0, 0))

    def body(carry: State, row: tuple[Array, Array, Tree]) -> tuple[State, Array]:
        x_BxI, t, slot = row
        new = transition(params, carry, x_BxI)
        if probe is not None:
            new = probe.apply(new, slot)
        if lengths_B is not None:
            valid_B = t.astype(lengths_B.dtype) < lengths_B
            new = {k: _hold(valid_B, new[k], carry[k]) for k in new}
        return new, output(params, new, x_BxI)

    slots = None if probe is None else probe.slots
    rows = (inputs_TxBxI, jnp.arange(steps, dtype=jnp.int32), slots)
    final_state, outputs_TxBxH = jax.lax.scan(body, state, rows)
    final_BxH = output(params, final_state, _last_valid(inputs_TxBxI, lengths_B))
    return Unrolled(final_state, final_BxH, outputs_TxBxH)


def _hold(valid_B: Array, new: Array, old: Array) -> Array:
    """`new` where the step is valid, `old` elsewhere."""
    return jnp.where(valid_B.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _last_valid(x_TxBxI: Array, lengths_B: Array | None) -> Array:
    """The rows of each sequence's last valid step, (B, I)."""
    if lengths_B is None:
        return x_TxBxI[-1]
    last_1xBx1 = jnp.maximum(lengths_B - 1, 0)[None, :, None]
    return jnp.take_along_axis(x_TxBxI, last_1xBx1, axis=0)[0]
