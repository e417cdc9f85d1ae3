"""One training step: the gradient on a batch, the update, and the figures of both.

No input or output. The batch of a step is a function of the run's keys and the step's number.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import LINEAR_START
from rnnexp.core.tree import leaf_norms, tree_norms
from rnnexp.core.types import Array, Batch, Key, State, Tree
from rnnexp.gradflow.decay import decay_scalars, stack_profiles
from rnnexp.gradflow.position_losses import Model
from rnnexp.tasks.base import Stream
from rnnexp.tasks.batches import Keys, epoch_length, next_batches
from rnnexp.train.data_parallel import own_examples
from rnnexp.train.loss import backward
from rnnexp.train.objective import minimised
from rnnexp.train.optim import Clipped, Hyper, clip, clip_update, update_params
from rnnexp.train.program import Recipe, StepInputs, TrainState, start_states


class Gradient(NamedTuple):
    """Inputs of the update: the loss, the gradient, and the final states where sequences
    continue from batch to batch."""

    loss: Array
    grads: Tree
    carry: list[State]


class StepMetrics(NamedTuple):
    """Figures of a backward pass: scalars by name, profiles (L, T) by state leaf."""

    scalars: dict[str, Array]
    norms: dict[str, Array]


class Update(NamedTuple):
    """An update: the new state, the learning rate, the clipped gradient, the step taken, and how
    that was clipped, if `clip.name` is `update_norm`."""

    state: TrainState
    rate: Array
    clipped: Clipped
    updates: Tree
    shortened: Clipped | None


class Lane(NamedTuple):
    """A run's state, and the other inputs of its steps."""

    state: TrainState
    indices: Tree
    keys: Keys
    hyper: Hyper


class StepResult(NamedTuple):
    """A step's new state and its figures."""

    state: TrainState
    scalars: dict[str, Array]
    norms: dict[str, Array]


def measure(
    recipe: Recipe, params: Tree, inputs: StepInputs, *, record: bool
) -> tuple[Gradient, StepMetrics]:
    """The gradient on a batch; with `record`, the figures of the same backward pass."""
    got = backward(recipe, params, inputs, record=record)
    gradient = Gradient(minimised(got.means), got.grads, got.carry)
    if not record:
        return gradient, StepMetrics({}, {})
    units = recipe.model(params).units()
    penalties = {f"regularizer/{name}": value for name, value in got.penalties.items()}
    scalars = got.means | penalties | decay_scalars(units, got.profiles)
    return gradient, StepMetrics(scalars, stack_profiles(got.profiles, recipe.profile_steps))


def update(recipe: Recipe, state: TrainState, gradient: Gradient, hyper: Hyper) -> Update:
    """One update along a gradient; a non-finite loss or gradient only marks the state diverged."""
    rate = hyper["learning_rate"] * recipe.rate_factor(state.step)
    apart, threshold = None, hyper["clip_threshold"]
    if recipe.regularizers.flossing_apart:
        apart = recipe.regularizers.alone(state.step)
        threshold = jnp.where(apart, jnp.inf, threshold)
    clipped = clip(recipe.clip, gradient.grads, threshold, state.params)
    updates, opt_state = update_params(
        recipe.optimizer, hyper, rate, clipped.grads, state.opt_state, state.params,
        recipe.optimizer_options, apart,
    )  # fmt: skip
    shortened = None
    if recipe.clip == "update_norm":
        shortened = clip_update(updates, threshold)
        updates = shortened.grads
    params = jax.tree.map(jnp.add, state.params, updates)
    finite = jnp.isfinite(gradient.loss) & jnp.isfinite(clipped.norm_before)
    kept = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, gradient.carry),
        (state.params, state.opt_state, state.carry),
    )
    step = state.step + finite.astype(jnp.int32)
    new = TrainState(kept[0], kept[1], step, ~finite, kept[2])
    return Update(new, rate, clipped, updates, shortened)


def update_scalars(state: TrainState, grads: Tree, done: Update) -> dict[str, Array]:
    """The figures of an update; `state` is the one before it."""
    update_norm, params_norm = tree_norms(done.updates, state.params)
    scalars = {
        "learning_rate": done.rate,
        "grad_norm": done.clipped.norm_before,
        "grad_norm_clipped": done.clipped.norm_after,
        "clip_fired": done.clipped.fired,
        "clip_cosine": done.clipped.cosine,
        "update_ratio": update_norm / params_norm,
    }
    if (shortened := done.shortened) is not None:
        scalars |= {
            "update_norm": shortened.norm_before,
            "update_norm_clipped": shortened.norm_after,
            "clip_fired": shortened.fired,
            "clip_cosine": shortened.cosine,
        }
    return scalars | {f"grad_norm/{name}": norm for name, norm in leaf_norms(grads).items()}


def next_inputs(
    recipe: Recipe, arrays: Tree, lane: Lane, devices: int
) -> tuple[Array, list[Callable[[], StepInputs]]]:
    """The number of the next step's bucket, and a maker of its inputs for each bucket.

    With several devices each gets its own part of the batch.
    """
    state, order, keys, hyper = lane
    source, size = recipe.task.train, recipe.batch_size
    bucket, makers = next_batches(source, arrays, order, keys.data, state.step, size)
    noise = jax.random.fold_in(keys.noise, state.step)
    carry = state.carry
    if isinstance(source, Stream):
        begins = state.step % (epoch_length(source, size) or 1) == 0
        fresh = start_states(recipe.model(state.params), size // devices)
        carry = jax.tree.map(lambda new, old: jax.lax.select(begins, new, old), fresh, carry)

    def make_inputs(make: Callable[[], Batch]) -> StepInputs:
        batch = own_examples(devices, make(), recipe.task.mode)
        batch = with_linear_start(recipe.model(state.params), batch, state.step)
        return StepInputs(batch, carry, noise, hyper, state.step)

    return bucket, [partial(make_inputs, make) for make in makers]


def with_linear_start(model: Model, batch: Batch, step: Array) -> Batch:
    """A batch whose context tells a cell with a linear start whether that lasts at this step."""
    steps = model.units()[0].layer.cell.linear_start_steps
    if not steps:
        return batch
    lasts_B = jnp.full(batch.inputs_TxBxI.shape[1], step < steps).astype(float)
    return batch._replace(context={**batch.context, LINEAR_START: lasts_B})


def measure_next(
    recipe: Recipe, arrays: Tree, lane: Lane, *, record: bool
) -> tuple[Gradient, StepMetrics]:
    """`measure` on the batch of a run's next step, one branch a bucket."""
    bucket, makers = next_inputs(recipe, arrays, lane, recipe.devices)

    def in_bucket(make: Callable[[], StepInputs], params: Tree) -> tuple[Gradient, StepMetrics]:
        return measure(recipe, params, make(), record=record)

    branches = [partial(in_bucket, make) for make in makers]
    if len(branches) == 1:
        return branches[0](lane.state.params)
    result: tuple[Gradient, StepMetrics] = jax.lax.switch(bucket, branches, lane.state.params)
    return result


def train_step(
    recipe: Recipe, state: TrainState, batch: Batch, hyper: Hyper, key: Key, *, record: bool
) -> StepResult:
    """One update on a batch; with `record`, all figures."""
    inputs = StepInputs(batch, state.carry, key, hyper, state.step)
    gradient, metrics = measure(recipe, state.params, inputs, record=record)
    return _result(recipe, state, gradient, metrics, hyper, record=record)


def take_step(recipe: Recipe, arrays: Tree, lane: Lane, *, record: bool) -> StepResult:
    """The next step of a run; with `record`, all figures."""
    gradient, metrics = measure_next(recipe, arrays, lane, record=record)
    return _result(recipe, lane.state, gradient, metrics, lane.hyper, record=record)


def _result(
    recipe: Recipe,
    state: TrainState,
    gradient: Gradient,
    metrics: StepMetrics,
    hyper: Hyper,
    *,
    record: bool,
) -> StepResult:
    done = update(recipe, state, gradient, hyper)
    if not record:
        return StepResult(done.state, {}, {})
    scalars = metrics.scalars | update_scalars(state, gradient.grads, done)
    return StepResult(done.state, scalars, metrics.norms)
