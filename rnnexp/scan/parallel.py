"""All steps of a sequence at once: by a cell's own parallel path, or by Newton's iteration."""

import jax

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import hold_ends, last_valid
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.newton.solve import NewtonStats, newton_states


def run_parallel(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    newton: str,
    slots: State,
    lengths_B: Array | None,
) -> tuple[State, Array, Array, State, NewtonStats | None]:
    """A batch of sequences through a cell.

    Args:
      params: from `cell.prepare`.
      newton: `full` or `diagonal`, for any cell; empty: the cell's own path.
      slots: added to leaves of the state after every step, (T, B, ...); to probed leaves on
        a cell's own path, to any with Newton's iteration.

    Returns:
      The final states and outputs (B, H), all outputs (T, B, H), the states after every step,
      (T, B, ...) by leaf and held after a sequence's end, and Newton's statistics.

    Raises `UsageError` if the cell has no path of its own.
    """
    newton_stats = None
    if newton:
        states, newton_stats = newton_states(
            cell, params, inputs_TxBxI, state, method=newton, slots=slots, lengths_B=lengths_B
        )
    elif cell.states is None:
        raise UsageError(f"cell {cell.name!r} has no associative path: its state is not linear")
    else:
        run = jax.vmap(cell.states, in_axes=(None, 0, 1, 1), out_axes=1)
        states = hold_ends(run(params, state, inputs_TxBxI, slots), lengths_B)
    output = jax.vmap(cell.output, in_axes=(None, 0, 0))
    outputs_TxBxH = jax.vmap(output, in_axes=(None, 0, 0))(params, states, inputs_TxBxI)
    final_state = {k: v[-1] for k, v in states.items()}
    final_BxH = output(params, final_state, last_valid(inputs_TxBxI, lengths_B))
    return final_state, final_BxH, outputs_TxBxH, states, newton_stats
