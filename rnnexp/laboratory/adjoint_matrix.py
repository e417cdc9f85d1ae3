"""dL_s/dh_t as a matrix: the gradient of each output's loss by the state at each step.

Training records one adjoint a step, of the whole loss. Here every output position s has a
loss L_s of its own and a backward pass of its own: the row s over the state times t. A row
that falls to zero towards the left shows how far back *that* output depends on states.

Rows are output positions: steps in synchronous mode, target symbols of a transducer, one
single row of a sequence_to_one model (or its classes, `class_adjoints`). Columns are the
steps of the unit's sequence, in the sequence's own order whatever way the unit reads; a
transducer has encoder steps in some units and decoder steps in others. Noise is off. What
truncated BPTT cuts off is zero here too, since this is the gradient that training sees.

The rows share one forward pass; `block` backward passes run at a time, so memory grows with
the block and not with the number of rows; `matrix_bytes` counts it beforehand.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.masking import reverse_valid, valid_steps
from rnnexp.core.tree import stable_norm, tree_bytes
from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.adjoints import zero_slot
from rnnexp.gradflow.position_losses import (
    Losses,
    Model,
    Span,
    Teacher,
    losses_vjp,
    output_lengths,
    residual_bytes,
    spans,
)
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.stack import Unit


def adjoint_matrix(
    model: Model,
    batch: Batch,
    losses: Losses,
    *,
    leaf: str = "h",
    rows: Sequence[int] | None = None,
    block: int = 16,
    teacher: Teacher | None = None,
) -> dict[str, Array]:
    """||dL_s/dh_t||, (S, T), of every unit for one example.

    Args:
      batch: one example, B = 1.
      leaf: which of the state's probed leaves stands for h.
      rows: the output positions wanted; None: all.
      block: rows whose backward passes run at a time.

    Returns:
      By unit; NaN at rows and columns after the example's end. Zero where s does not depend
      on h_t.

    Raises:
      UsageError: more than one example, a leaf that is not probed, a row that is not there.
    """
    return _rows(model, batch, losses, leaf, rows, block, teacher, output_lengths(model, batch))


def class_adjoints(
    model: Model,
    batch: Batch,
    *,
    position: int | None = None,
    leaf: str = "h",
    block: int = 16,
    teacher: Teacher | None = None,
) -> dict[str, Array]:
    """||dz_c/dh_t||, (C, T), of every unit for one example: a row an output (class) c.

    Args:
      position: which output position's z, a valid one; None for a model with one.

    Raises:
      UsageError: a position where there is but one, or none where there are several.
    """
    one = isinstance(model, SequenceModel) and model.to_one
    if one != (position is None):
        raise UsageError(
            "position must be None for a model with one output, and a number for others"
        )

    def outputs_of(outputs: Array, batch: Batch) -> Array:
        del batch
        return (outputs if position is None else outputs[position]).T

    return _rows(model, batch, outputs_of, leaf, None, block, teacher, None)


def matrix_bytes(
    model: Model,
    batch: Batch,
    losses: Losses,
    *,
    leaf: str = "h",
    rows: Sequence[int] | None = None,
    block: int = 16,
    teacher: Teacher | None = None,
) -> int:
    """Bytes that `adjoint_matrix` takes, from shapes alone.

    What the forward pass keeps, two cotangents a row of a block, and the result.
    """
    slots = _slots(model, batch, leaf)
    kept, count = residual_bytes(model, batch, losses, slots, teacher)
    count = count if rows is None else len(rows)
    result = tree_bytes([slot[leaf][..., 0] for slot in slots])
    return kept + 2 * min(block, count) * tree_bytes(slots) + count * result


def _slots(model: Model, batch: Batch, leaf: str) -> list[State]:
    """One zero slot a unit, for one leaf and one example."""
    if batch.inputs_TxBxI.shape[1] != 1:
        raise UsageError(
            f"an adjoint matrix is of one example, not of {batch.inputs_TxBxI.shape[1]}"
        )
    slots: list[State] = []
    for unit, span in zip(model.units(), spans(model, batch), strict=True):
        require_choice("leaf", leaf, unit.layer.cell.probed)
        slots.append({leaf: zero_slot(unit.layer.cell, unit.layer.params(), span.steps, 1)[leaf]})
    return slots


def _rows(
    model: Model,
    batch: Batch,
    losses: Losses,
    leaf: str,
    rows: Sequence[int] | None,
    block: int,
    teacher: Teacher | None,
    lengths_B: Array | None,
) -> dict[str, Array]:
    """The norms of every row, (S, T) by unit; `lengths_B` says how many rows are valid."""
    slots, places = _slots(model, batch, leaf), spans(model, batch)
    losses_Sx1, vjp, _ = losses_vjp(model, batch, losses, slots, teacher=teacher)
    positions_S = jnp.arange(losses_Sx1.shape[0], dtype=jnp.int32)
    wanted = positions_S if rows is None else _wanted(rows, len(positions_S))
    ends = losses_Sx1.shape[0] if lengths_B is None else lengths_B[0].astype(jnp.int32)

    def row(s: Array) -> dict[str, Array]:
        here_S = (positions_S == s) & (s < ends)
        (adjoints,) = vjp(here_S.astype(losses_Sx1.dtype)[:, None])
        return {
            unit.name: _norms(
                _ordered(unit, adjoint[leaf], span), valid_steps(*span)[:, 0] & (s < ends)
            )
            for unit, adjoint, span in zip(model.units(), adjoints, places, strict=True)
        }

    got = jax.lax.map(row, wanted, batch_size=block)
    return {unit.name: got[unit.name] for unit in model.units()}  # mapping sorts names


def _wanted(rows: Sequence[int], count: int) -> Array:
    outside = [row for row in rows if not 0 <= row < count]
    if outside:
        raise UsageError(f"rows must lie in 0 ... {count - 1}, not {outside[0]}")
    return jnp.asarray(rows, jnp.int32)


def _ordered(unit: Unit, adjoint_Tx1xH: Array, span: Span) -> Array:
    """The adjoint in the sequence's own order of time, without the axis of examples."""
    if unit.backward:
        adjoint_Tx1xH = reverse_valid(adjoint_Tx1xH, span.lengths_B)
    return adjoint_Tx1xH[:, 0]


def _norms(adjoint_TxH: Array, valid_T: Array) -> Array:
    norm_T = stable_norm(adjoint_TxH.reshape(adjoint_TxH.shape[0], -1), axis=-1)
    return jnp.where(valid_T, norm_T, jnp.full_like(norm_T, jnp.nan))
