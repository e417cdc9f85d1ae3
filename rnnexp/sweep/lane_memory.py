"""What training one run takes of memory, counted from shapes before anything is compiled."""

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
"""The units of a model, each with the number of its steps."""


def lane_bytes(plan: Plan) -> int:
    """Bytes that training one run takes on a device, without the data set.

    Weights, optimiser state and gradients, and all that the forward pass keeps for the
    backward pass.
    """
    state = jax.eval_shape(partial(initial_state, plan))
    key = jax.eval_shape(lambda: jax.random.key(0))
    arrays = source_arrays(plan.recipe.task.train)
    keep = partial(_kept_for_backward, plan.recipe)
    kept = jax.eval_shape(keep, state, dict(plan.hyper), key, arrays)
    return tree_bytes(state) + tree_bytes(state.params) + tree_bytes(kept) + _of_the_time_axis(plan)


def data_bytes(plan: Plan) -> int:
    """Bytes of the data sets, which every device holds once."""
    task = plan.recipe.task
    return sum(tree_bytes(source_arrays(part)) for part in (task.train, task.valid, task.test))


def _of_the_time_axis(plan: Plan) -> int:
    """What the way through time takes beyond what is kept from the forward pass."""
    model, size = plan.recipe.model(plan.params), plan.recipe.batch_size
    time_loop = stacks(model)[0].structure.time_loop
    sequences = _sequences(plan.recipe, model)
    total = 0
    if time_loop.kernel or time_loop.remat_steps:
        spared = set() if time_loop.fused else _last_alone(model)
        read = [(unit, steps) for unit, steps in sequences if unit.name not in spared]
        total += _handed_back(read, size, time_loop)
    if time_loop.remat_steps:
        total += max(_segment(unit, steps, size, time_loop) for unit, steps in sequences)
    if time_loop.newton == "full":
        total += max(_jacobians(unit, steps, size) for unit, steps in sequences)
    return total


def _sequences(recipe: Recipe, model: Model) -> Sequences:
    encoder_steps, decoder_steps = recipe.task.num_steps, recipe.task.target_steps
    return [
        (unit, decoder_steps if unit.name.startswith("decoder") else encoder_steps)
        for unit in model.units()
    ]


def _handed_back(sequences: Sequences, batch_size: int, time_loop: TimeLoop) -> int:
    """What goes into a backward pass that takes many steps at once: the cotangents of the
    outputs; and out of the fused kernel the adjoints of the state, which has no norms alone."""
    total = 0
    for unit, steps in sequences:
        cell, state = unit.layer.cell, _state(unit)
        leaves = [cell.hidden, *(cell.probed if time_loop.fused else ())]
        total += steps * batch_size * sum(state[leaf].nbytes for leaf in leaves)
    return total


def _segment(unit: Unit, steps: int, batch_size: int, time_loop: TimeLoop) -> int:
    """What the steps of a segment keep while they are computed again; 0 if there is but one."""
    if time_loop.remat_steps >= steps:
        return 0
    cell, params = unit.layer.cell, unit.layer.params()
    length = segment_length(steps, time_loop.remat_steps)
    x_TxBxI = jax.ShapeDtypeStruct(
        (length, batch_size, cell.input_size), next(iter(params.values())).dtype
    )

    def pull(params: Params, x_TxBxI: Array) -> Any:
        def run(params: Params) -> Array:
            at_once = time_loop._replace(remat_steps=0)
            return unroll(cell, params, x_TxBxI, time_loop=at_once).outputs_TxBxH

        return jax.vjp(run, params)[1]

    return tree_bytes(jax.eval_shape(pull, params, x_TxBxI)) - tree_bytes(params)


def _jacobians(unit: Unit, steps: int, batch_size: int) -> int:
    """The matrices that Newton's iteration holds of a layer: those of all steps, and about
    as many again while products of them are formed."""
    leaves = _state(unit).values()
    size, number_bytes = sum(leaf.size for leaf in leaves), next(iter(leaves)).itemsize
    return 2 * steps * batch_size * size * size * number_bytes


def _state(unit: Unit) -> State:
    """The initial state of one example."""
    return unit.layer.cell.init_state(unit.layer.params())


def _last_alone(model: Model) -> set[str]:
    """The units of which the last state alone is read."""
    if isinstance(model, Transducer) or model.mode != "sequence_to_one" or model.pooling != "last":
        return set()
    directions = 2 if model.stack.structure.bidirectional else 1
    return {unit.name for unit in model.units()[-directions:]}


def _kept_for_backward(
    recipe: Recipe, state: TrainState, hyper: Hyper, key: Key, arrays: Tree
) -> Any:
    """The VJP of the loss: its leaves are what it keeps."""
    order = epoch_order(recipe.task.train, key, state.step, recipe.batch_size)
    lane = Lane(state, order, Keys(key, key), hyper)
    make = next_inputs(recipe, arrays, lane, devices=1)[1][-1]  # the last bucket is the longest

    def loss(params: Tree) -> Array:
        return batch_loss(recipe, params, make())[0]

    return jax.vjp(loss, state.params)[1]
