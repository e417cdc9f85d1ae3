"""The memory that training one run takes, counted from shapes before anything is compiled."""

from functools import partial
from typing import Any

import jax

from rnnexp.core.tree import tree_bytes
from rnnexp.core.types import Array, Key, Params, State, Tree
from rnnexp.gradflow.position_losses import Model, stacks
from rnnexp.models.stack import Unit
from rnnexp.models.transduction import Transducer
from rnnexp.scan.remat import segment_length
from rnnexp.scan.unroll import TimeLoop, unroll
from rnnexp.tasks.batches import Keys, epoch_order, source_arrays
from rnnexp.train.compiled import initial_state
from rnnexp.train.loss import batch_loss
from rnnexp.train.optim import Hyper
from rnnexp.train.plan import Plan
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step import Lane, next_inputs

Sequences = list[tuple[Unit, int]]
"""The units of a model, each with its number of time steps."""


def lane_bytes(plan: Plan) -> int:
    """Bytes that training one run takes on a device, without the data set.

    Counts weights, optimiser state, gradients, and what the forward pass keeps for the
    backward pass.
    """
    state = jax.eval_shape(partial(initial_state, plan))
    key = jax.eval_shape(lambda: jax.random.key(0))
    arrays = source_arrays(plan.recipe.task.train)
    keep = partial(_kept_for_backward, plan.recipe)
    kept = jax.eval_shape(keep, state, dict(plan.hyper), key, arrays)
    return tree_bytes(state) + tree_bytes(state.params) + tree_bytes(kept) + _time_loop_bytes(plan)


def data_bytes(plan: Plan) -> int:
    """Bytes of the data sets; every device holds one copy."""
    task = plan.recipe.task
    return sum(tree_bytes(source_arrays(part)) for part in (task.train, task.valid, task.test))


def _time_loop_bytes(plan: Plan) -> int:
    """Bytes that the loop over time takes beyond what the forward pass keeps."""
    model, size = plan.recipe.model(plan.params), plan.recipe.batch_size
    time_loop = stacks(model)[0].structure.time_loop
    sequences = _sequences(plan.recipe, model)
    total = 0
    if time_loop.kernel or time_loop.remat_steps:
        skipped = set() if time_loop.fused else _last_state_only(model)
        read = [(unit, steps) for unit, steps in sequences if unit.name not in skipped]
        total += _cotangent_bytes(read, size, time_loop)
    if time_loop.remat_steps:
        total += max(_segment_bytes(unit, steps, size, time_loop) for unit, steps in sequences)
    if time_loop.newton == "full":
        total += max(_jacobian_bytes(unit, steps, size) for unit, steps in sequences)
    return total


def _sequences(recipe: Recipe, model: Model) -> Sequences:
    encoder_steps = recipe.own_steps or recipe.task.num_steps
    decoder_steps = recipe.task.target_steps
    return [
        (unit, decoder_steps if unit.name.startswith("decoder") else encoder_steps)
        for unit in model.units()
    ]


def _cotangent_bytes(sequences: Sequences, batch_size: int, time_loop: TimeLoop) -> int:
    """Bytes of the cotangents of all outputs, which a backward pass over many steps reads.

    The fused kernel also returns the adjoints of the state, because it cannot return their
    norms alone.
    """
    total = 0
    for unit, steps in sequences:
        cell, state = unit.layer.cell, _state(unit)
        leaves = [cell.hidden, *(cell.probed if time_loop.fused else ())]
        total += steps * batch_size * sum(state[leaf].nbytes for leaf in leaves)
    return total


def _segment_bytes(unit: Unit, steps: int, batch_size: int, time_loop: TimeLoop) -> int:
    """Bytes that the steps of a segment keep while they are recomputed; 0 for a single segment."""
    if time_loop.remat_steps >= steps:
        return 0
    cell, params = unit.layer.cell, unit.layer.params()
    length = segment_length(steps, time_loop.remat_steps)
    x_TxBxI = jax.ShapeDtypeStruct(
        (length, batch_size, cell.input_size), next(iter(params.values())).dtype
    )

    def vjp_of_segment(params: Params, x_TxBxI: Array) -> Any:
        def run(params: Params) -> Array:
            at_once = time_loop._replace(remat_steps=0)
            return unroll(cell, params, x_TxBxI, time_loop=at_once).outputs_TxBxH

        return jax.vjp(run, params)[1]

    return tree_bytes(jax.eval_shape(vjp_of_segment, params, x_TxBxI)) - tree_bytes(params)


def _jacobian_bytes(unit: Unit, steps: int, batch_size: int) -> int:
    """Bytes of the matrices that Newton's iteration holds for a layer: the Jacobians of all
    steps, and about as many again while it forms their products."""
    leaves = _state(unit).values()
    size, number_bytes = sum(leaf.size for leaf in leaves), next(iter(leaves)).itemsize
    return 2 * steps * batch_size * size * size * number_bytes


def _state(unit: Unit) -> State:
    """The initial state of one example."""
    return unit.layer.cell.init_state(unit.layer.params())


def _last_state_only(model: Model) -> set[str]:
    """The units whose last state is read and no other."""
    if isinstance(model, Transducer) or not model.to_one or model.pooling != "last":
        return set()
    directions = 2 if model.stack.structure.bidirectional else 1
    return {unit.name for unit in model.units()[-directions:]}


def _kept_for_backward(
    recipe: Recipe, state: TrainState, hyper: Hyper, key: Key, arrays: Tree
) -> Any:
    """The VJP of the loss; its leaves are the arrays that it keeps."""
    order = epoch_order(recipe.task.train, key, state.step, recipe.batch_size)
    lane = Lane(state, order, Keys(key, key), hyper)
    make = next_inputs(recipe, arrays, lane, devices=1)[1][-1]  # the last bucket is the longest

    def loss(params: Tree) -> Array:
        return batch_loss(recipe, params, make())[0]

    return jax.vjp(loss, state.params)[1]
