"""How much of dL/dW comes from each lag, exactly: the parts add up to dL/dW.

A cell's parameters are applied at every step. With a copy W_t for each step t and a loss
L = sum over s of L_s, dL/dW = sum over s and t of dL_s/dW_t, and each term has a lag. By
the chain rule (Werbos 1990, "Backpropagation through time"; the split by lag as in Pascanu,
Mikolov & Bengio 2013, equation 4)

    dL_s/dW_t = (ds_t/dW_t)^T dL_s/ds_t + (dy_t/dW_t)^T dL_s/dy_t

with s_t the whole state after step t and y_t the cell's output, s_{t-1} and x_t held. The
adjoints dL_s/ds_t count everything above and after: upper layers, a decoder. The rest is
linear in them, so those of one bin of lags are added up first, and each bin then costs one
vector-Jacobian product of the step.

The lag, in steps, of what unit u does at step t for output position s:

* synchronous: |s - t|, its distance in the sequence. (In one direction a unit acts on later
  outputs only. In a bidirectional stack a lower unit also acts on those before, through an
  upper unit of the other direction.)
* sequence_to_one: steps from t to the end of the unit's reading, which is the sequence's
  first step for a backward unit. With pooling over all steps the gradient enters at every
  one of them, and a long lag then shows nothing about transport through time.
* transducer: symbols written, u - t, in the decoder. In the encoder steps from t to the end
  of reading, and u + 1 more: as if the decoder went on with the encoder's sequence.
  (Attention is a short cut over that distance.)

The initial state, where it depends on parameters, is step -1. Parameters outside the cells
(readout, normalisation, attention) are applied at no state and are left out.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import fill_batch, valid_steps
from rnnexp.core.registry import TO_ONE
from rnnexp.core.tree import stable_norm, tree_bytes
from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.position_losses import (
    Losses,
    Model,
    Teacher,
    losses_vjp,
    output_lengths,
    residual_bytes,
    spans,
    stacks,
)
from rnnexp.laboratory.lag_bins import check_edges, unit_kinds, windows
from rnnexp.laboratory.local_step import (
    Sums,
    empty_sums,
    finish,
    instrumented,
    local_step,
    step_vjps,
    through_context,
    whole_slots,
)
from rnnexp.models.transduction import Transducer
from rnnexp.scan.step import prepare_batch

Parts: TypeAlias = dict[str, dict[str, Array]]
"""By unit and parameter."""


class LagGradients(NamedTuple):
    """dL/dW by bins of lags.

    Attributes:
      edges: the largest lag of every bin, in steps, ascending; a bin begins after the one
        before. (D,).
      parts: by unit and parameter, (D, ...): what each bin contributes to dL/dW.
      total: their sum over the bins, dL/dW.
    """

    edges: tuple[int, ...]
    parts: Parts
    total: Parts


def lag_gradients(
    model: Model,
    batch: Batch,
    losses: Losses,
    *,
    edges: Sequence[int] | None = None,
    block: int = 8,
    examples: int = 16,
    teacher: Teacher | None = None,
) -> LagGradients:
    """dL/dW of every unit's parameters by bins of lags; L is the mean over examples of the
    sum of their losses over valid positions.

    Every output position takes a backward pass of its own, all examples at once. A
    sequence_to_one model without lengths takes one in all, and one product a step instead
    of one a step and bin.

    Args:
      edges: the largest lag of every bin, ascending, the last one at least the longest lag
        there is (`longest_lag`); None: 0, 1, 2, 4, 8, ...
      block: output positions at a time.
      examples: examples at a time; both bound the memory, see `lag_bytes`.
      teacher: for a network with output feedback; None: it reads its own.

    Raises:
      UsageError: edges that do not ascend or do not reach the longest lag.
    """
    edges = check_edges(edges, longest_lag(model, batch))
    model = instrumented(model)
    batch_size = batch.inputs_TxBxI.shape[1]
    size = min(examples, batch_size)
    blocks = -(-batch_size // size)
    index_NxE = jnp.arange(blocks * size, dtype=jnp.int32).reshape(blocks, size)

    def body(sums: list[Sums], index_E: Array) -> tuple[list[Sums], None]:
        part = take_examples(model, batch, jnp.minimum(index_E, batch_size - 1))
        share_E = jnp.where(index_E < batch_size, 1 / batch_size, 0.0)
        more = _sums(model, part, losses, share_E, edges, block, teacher)
        return jax.tree.map(jnp.add, sums, more), None

    empty = [empty_sums(unit, len(edges)) for unit in model.units()]
    sums, _ = jax.lax.scan(body, empty, index_NxE)
    parts = {
        unit.name: finish(unit, of_unit, unit.layer.cell.probed if kind == "decoder" else ())
        for unit, of_unit, kind in zip(model.units(), sums, unit_kinds(model), strict=True)
    }
    return LagGradients(edges, parts, jax.tree.map(lambda x: jnp.sum(x, 0), parts))


def lag_bytes(
    model: Model,
    batch: Batch,
    losses: Losses,
    *,
    edges: Sequence[int] | None = None,
    block: int = 8,
    examples: int = 16,
    teacher: Teacher | None = None,
) -> int:
    """Bytes that `lag_gradients` takes, from shapes alone.

    What the forward pass of `examples` keeps, its trajectory, two cotangents a row of a
    block, one a bin, and three sets of the parameters' parts.
    """
    edges = check_edges(edges, longest_lag(model, batch))
    model = instrumented(model)
    index_E = jnp.arange(min(examples, batch.inputs_TxBxI.shape[1]), dtype=jnp.int32)
    part = take_examples(model, batch, index_E)
    slots = whole_slots(model, part)
    kept, rows = residual_bytes(model, part, losses, slots, teacher)
    bins = 1 if rows == 1 and spans(model, part)[0].lengths_B is None else len(edges)
    parts = tree_bytes([empty_sums(unit, len(edges)) for unit in model.units()])
    return kept + (1 + 2 * min(block, rows) + bins) * tree_bytes(slots) + 3 * parts


def longest_lag(model: Model, batch: Batch) -> int:
    """The longest lag there can be, in steps: the start's of the last output."""
    steps = spans(model, batch)[0].steps
    return steps + batch.targets.shape[0] if isinstance(model, Transducer) else steps


def lag_norms(lags: LagGradients) -> dict[str, Array]:
    """The norm of every bin's part, (D,), by `unit/parameter`."""
    return {
        f"{unit}/{name}": stable_norm(part.reshape(part.shape[0], -1), axis=-1)
        for unit, parts in lags.parts.items()
        for name, part in parts.items()
    }


def in_bins(lags: LagGradients, edges: Sequence[int]) -> LagGradients:
    """The parts added up in wider bins.

    Args:
      edges: the largest lag of every wider bin, ascending; each ends one of the bins there are.

    Raises:
      UsageError: edges that do not ascend, where no bin ends, or that end before the longest lag.
    """
    known = [int(edge) for edge in lags.edges]
    edges = check_edges(edges, known[-1])
    if missing := [edge for edge in edges if edge not in known]:
        raise UsageError(
            f"no bin of lags ends at {missing[0]}. Known: {', '.join(map(str, known))}."
        )
    wider_D = jnp.searchsorted(jnp.asarray(edges), jnp.asarray(known))

    def added(part_D: Array) -> Array:
        return jax.ops.segment_sum(part_D, wider_D, len(edges))

    return LagGradients(edges, jax.tree.map(added, lags.parts), lags.total)


def long_range_fraction(lags: LagGradients, beyond: int) -> dict[str, Array]:
    """The fraction n_long / (n_short + n_long) of lags beyond so many steps, by `unit/parameter`.

    n_long is the norm of the gradient's part from lags above `beyond`, n_short of the rest.
    0: nothing long-range is learned, however healthy the total. NaN without any gradient.

    Raises:
      UsageError: `beyond` is not one of the edges, where the parts are separate.
    """
    if beyond not in [int(edge) for edge in lags.edges[:-1]]:
        known = ", ".join(str(int(edge)) for edge in lags.edges[:-1])
        raise UsageError(f"beyond must be an edge between two bins, not {beyond}. Known: {known}.")
    bins = [int(edge) for edge in lags.edges].index(beyond) + 1
    fractions = {}
    for unit, parts in lags.parts.items():
        for name, part in parts.items():
            short = stable_norm(jnp.sum(part[:bins], 0))
            long = stable_norm(jnp.sum(part[bins:], 0))
            fractions[f"{unit}/{name}"] = long / (short + long)
    return fractions


def take_examples(model: Model, batch: Batch, index_E: Array) -> Batch:
    """Some examples of a batch, with its padding filled."""
    mode = "asynchronous" if isinstance(model, Transducer) else model.mode
    others = (batch.lengths_B, batch.target_lengths_B, batch.context)
    taken = Batch(
        batch.inputs_TxBxI[:, index_E],
        batch.targets[index_E] if mode in TO_ONE else batch.targets[:, index_E],
        *jax.tree.map(lambda leaf_B: leaf_B[index_E], others),
    )
    return fill_batch(taken, mode)


def _sums(
    model: Model,
    batch: Batch,
    losses: Losses,
    share_B: Array,
    edges: Sequence[int],
    block: int,
    teacher: Teacher | None,
) -> list[Sums]:
    """The parts of every unit from some examples, each loss weighted as its example is."""
    slots = whole_slots(model, batch)
    losses_SxB, vjp, trajectories = losses_vjp(
        model, batch, losses, slots, teacher=teacher, keep_states=True
    )
    weights_SxB = jnp.broadcast_to(share_B.astype(losses_SxB.dtype)[None], losses_SxB.shape)
    lengths_B = output_lengths(model, batch)
    if lengths_B is not None:
        valid_SxB = valid_steps(losses_SxB.shape[0], lengths_B)
        weights_SxB = jnp.where(valid_SxB, weights_SxB, jnp.zeros_like(weights_SxB))
    binned = windows(model, batch, vjp, weights_SxB, slots, edges, block)
    taught = None if teacher is None else teacher(batch)
    structures = [stack.structure for stack in stacks(model) for _ in stack.layers]
    sums = []
    for unit, structure, seen, window in zip(
        model.units(), structures, trajectories, binned, strict=True
    ):
        cell = unit.layer.cell
        step = local_step(cell, structure, taught)
        own = unit.layer.params()
        params = prepare_batch(cell, own, batch.context)
        parts = step_vjps(
            step, params, seen, *window, len(edges), by_example=cell.start is not None
        )
        sums.append(through_context(cell, own, batch.context, parts))
    return sums
