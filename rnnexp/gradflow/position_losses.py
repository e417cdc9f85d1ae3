"""The loss of every output position, and its vector-Jacobian products by all units' states.

Training has one loss and one backward pass. Here every output position has a loss and a backward
pass of its own, and all share one forward pass. Noise is off.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_bytes
from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.adjoints import perturb, probes, tap
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.sequence import Modelled, SequenceModel
from rnnexp.models.stack import Stack
from rnnexp.models.transduction import Transducer
from rnnexp.scan.unroll import TimeLoop, Trajectory

Model: TypeAlias = SequenceModel | Transducer
Losses: TypeAlias = Callable[[Array, Batch], Array]
"""`(outputs, batch) -> (S, B)`: the loss of every output position of every example, (1, B)
in sequence_to_one mode. Values at positions after a sequence's end are ignored."""
Teacher: TypeAlias = Callable[[Batch], Array]
"""`batch -> (T, B, O)`, the true outputs for a network with output feedback."""
LossesVjp: TypeAlias = Callable[[Array], tuple[Sequence[State]]]
"""`weights (S, B) -> (adjoints,)` of the weighted losses, by unit."""


class Span(NamedTuple):
    """Steps of a unit's sequence, and the valid ones of each example (None: all)."""

    steps: int
    lengths_B: Array | None


def apply(
    model: Model,
    batch: Batch,
    options: ForwardOptions = EVALUATION,
    *,
    teacher: Teacher | None = None,
) -> Modelled:
    """The model's outputs for a batch, which also gives lengths, context and the teacher's
    outputs."""
    options = options._replace(lengths_B=batch.lengths_B, context=batch.context)
    if isinstance(model, Transducer):
        return model(batch.inputs_TxBxI, batch.targets, options)
    if teacher is not None and options.forced_steps != 0:
        options = options._replace(taught_TxBxO=teacher(batch))
    return model(batch.inputs_TxBxI, options)


def spans(model: Model, batch: Batch) -> list[Span]:
    """The span of every unit; a decoder runs over the targets."""
    read = Span(batch.inputs_TxBxI.shape[0], batch.lengths_B)
    if not isinstance(model, Transducer):
        read = Span(model.own_steps, None) if model.own_steps else read
        return [read] * len(model.units())
    written = Span(batch.targets.shape[0], batch.target_lengths_B)
    return [read] * len(model.encoder.layers) + [written] * len(model.decoder.layers)


def output_lengths(model: Model, batch: Batch) -> Array | None:
    """How many output positions of each example are valid; None: all."""
    if isinstance(model, Transducer):
        return batch.target_lengths_B
    return None if model.to_one else batch.lengths_B


def losses_vjp(
    model: Model,
    batch: Batch,
    losses: Losses,
    slots: Sequence[State],
    *,
    teacher: Teacher | None = None,
    keep_states: bool = False,
) -> tuple[Array, LossesVjp, Sequence[Trajectory]]:
    """One forward pass: the losses (S, B), their VJP by the slots (adjoints in the unit's own
    order of reading), and the units' trajectories, if kept.

    Raises `UsageError` if the losses have another shape than (S, B).
    """
    additive = stacks(model)[0].structure.time_loop.associative
    probe = perturb if additive else tap

    def run(slots: Sequence[State]) -> tuple[Array, Sequence[Trajectory]]:
        options = ForwardOptions(probes=probes(probe, slots), keep_states=keep_states)
        got = apply(model, batch, options, teacher=teacher)
        return losses(got.outputs, batch), got.trajectories

    losses_SxB, vjp, trajectories = jax.vjp(run, slots, has_aux=True)
    batch_size = batch.inputs_TxBxI.shape[1]
    if losses_SxB.ndim != 2 or losses_SxB.shape[1] != batch_size:
        raise UsageError(
            f"losses must be one a position and example, (S, {batch_size}), not {losses_SxB.shape}"
        )
    return losses_SxB, vjp, trajectories


def stacks(model: Model) -> list[Stack]:
    """The stacks of a model, in the order of its units."""
    return [model.encoder, model.decoder] if isinstance(model, Transducer) else [model.stack]


def with_time_loop(model: Model, change: Callable[[TimeLoop], TimeLoop]) -> Model:
    """A copy of a model, with the same values, whose stacks go through time as `change` says."""
    copy = nnx.clone(model)
    for stack in stacks(copy):
        loop = change(stack.structure.time_loop)
        stack.structure = dataclasses.replace(stack.structure, time_loop=loop)
    return copy


def residual_bytes(
    model: Model, batch: Batch, losses: Losses, slots: Sequence[State], teacher: Teacher | None
) -> tuple[int, int]:
    """Bytes that a forward pass stores for its backward pass, and the number S of losses."""

    def run(slots: Sequence[State]) -> tuple[Array, LossesVjp]:
        return losses_vjp(model, batch, losses, slots, teacher=teacher)[:2]

    losses_SxB, vjp = jax.eval_shape(run, slots)
    return tree_bytes(vjp), losses_SxB.shape[0]
