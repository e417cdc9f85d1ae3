"""One training step: the gradient on a batch, the update along it, and what is logged of both.

No input or output. Which batch a step sees is a function of the run's keys and its number.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.tree import leaf_norms, tree_norms
from rnnexp.core.types import Array, Batch, Key, State, Tree
from rnnexp.gradflow.decay import decay_scalars, stack_profiles
from rnnexp.tasks.base import Bucketed, Stream
from rnnexp.tasks.batches import (
    Keys,
    bucket_batch,
    bucket_of,
    epoch_length,
    training_batch,
)
from rnnexp.train.data_parallel import own_examples
from rnnexp.train.loss import backward
from rnnexp.train.optim import Clipped, Hyper, clip, update_params
from rnnexp.train.program import Recipe, TrainState, start_states
from rnnexp.train.regularizers import Given


class Gradient(NamedTuple):
    """What a backward pass hands to the update: the loss, the gradient to descend, and the
    states to go on with where sequences go on from batch to batch."""

    loss: Array
    grads: Tree
    carry: list[State]


class Found(NamedTuple):
    """What a backward pass measured: scalars by name, profiles (L, T) by state leaf."""

    scalars: dict[str, Array]
    norms: dict[str, Array]


class Descent(NamedTuple):
    """An update: the new state, and what it was made with."""

    state: TrainState
    rate: Array
    clipped: Clipped
    updates: Tree


class Lane(NamedTuple):
    """A run's state, and the values that its steps are computed with."""

    state: TrainState
    indices: Tree
    keys: Keys
    hyper: Hyper


class Stepped(NamedTuple):
    """A step's new state and what it measured."""

    state: TrainState
    scalars: dict[str, Array]
    norms: dict[str, Array]


def measure(
    recipe: Recipe, state: TrainState, batch: Batch, hyper: Hyper, key: Key, *, record: bool
) -> tuple[Gradient, Found]:
    """The gradient on a batch; with `record`, what is logged from the same backward pass."""
    got = backward(
        recipe, state.params, Given(batch, state.carry, key, hyper, state.step), record=record
    )
    gradient = Gradient(got.means["loss"], got.grads, got.carry)
    if not record:
        return gradient, Found({}, {})
    units = recipe.model(state.params).units()
    penalties = {f"regularizer/{name}": value for name, value in got.penalties.items()}
    scalars = got.means | penalties | decay_scalars(units, got.profiles)
    return gradient, Found(scalars, stack_profiles(got.profiles, recipe.profile_steps))


def descend(recipe: Recipe, state: TrainState, got: Gradient, hyper: Hyper) -> Descent:
    """One update along a gradient.

    A non-finite loss or gradient makes no update: the state comes back marked diverged.
    """
    rate = hyper["learning_rate"] * recipe.rate_factor(state.step)
    clipped = clip(recipe.clip, got.grads, hyper["clip_threshold"], state.params)
    params, opt_state, updates = update_params(
        recipe.optimizer, hyper, rate, clipped.grads, state.opt_state, state.params
    )
    finite = jnp.isfinite(got.loss) & jnp.isfinite(clipped.norm_before)
    kept = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, got.carry),
        (state.params, state.opt_state, state.carry),
    )
    step = state.step + finite.astype(jnp.int32)
    return Descent(TrainState(kept[0], kept[1], step, ~finite, kept[2]), rate, clipped, updates)


def descent_scalars(state: TrainState, grads: Tree, done: Descent) -> dict[str, Array]:
    """What is logged of an update, `state` being the one before it."""
    update_norm, params_norm = tree_norms(done.updates, state.params)
    scalars = {
        "learning_rate": done.rate,
        "grad_norm": done.clipped.norm_before,
        "grad_norm_clipped": done.clipped.norm_after,
        "clip_fired": done.clipped.fired,
        "clip_cosine": done.clipped.cosine,
        "update_ratio": update_norm / params_norm,
    }
    return scalars | {f"grad_norm/{name}": norm for name, norm in leaf_norms(grads).items()}


def measure_next(
    recipe: Recipe, arrays: Tree, lane: Lane, *, record: bool
) -> tuple[Gradient, Found]:
    """`measure` on the batch of a run's next step, from its bucket if there are any."""
    state, order, keys, hyper = lane
    source, size = recipe.task.train, recipe.batch_size
    own = partial(own_examples, recipe.devices, mode=recipe.task.mode)
    noise = jax.random.fold_in(keys.noise, state.step)
    if isinstance(source, Bucketed):
        bucket, index = bucket_of(source, order, state.step, size)

        def in_bucket(number: int, state: TrainState) -> tuple[Gradient, Found]:
            batch = bucket_batch(source, number, arrays, order, index, size)
            return measure(recipe, state, own(batch), hyper, noise, record=record)

        branches = [partial(in_bucket, number) for number in range(len(source.buckets))]
        result: tuple[Gradient, Found] = jax.lax.switch(bucket, branches, state)
        return result
    if isinstance(source, Stream):
        begins = state.step % (epoch_length(source, size) or 1) == 0
        fresh = start_states(recipe.model(state.params), size // recipe.devices)
        carry = jax.tree.map(lambda new, old: jax.lax.select(begins, new, old), fresh, state.carry)
        state = state._replace(carry=carry)
    batch = training_batch(source, arrays, order, keys.data, state.step, size)
    return measure(recipe, state, own(batch), hyper, noise, record=record)


def train_step(
    recipe: Recipe, state: TrainState, batch: Batch, hyper: Hyper, key: Key, *, record: bool
) -> Stepped:
    """One update on a batch; with `record`, everything that is logged."""
    got, found = measure(recipe, state, batch, hyper, key, record=record)
    return _stepped(recipe, state, got, found, hyper, record=record)


def take_step(recipe: Recipe, arrays: Tree, lane: Lane, *, record: bool) -> Stepped:
    """The next step of a run; with `record`, everything that is logged."""
    got, found = measure_next(recipe, arrays, lane, record=record)
    return _stepped(recipe, lane.state, got, found, lane.hyper, record=record)


def _stepped(
    recipe: Recipe, state: TrainState, got: Gradient, found: Found, hyper: Hyper, *, record: bool
) -> Stepped:
    done = descend(recipe, state, got, hyper)
    if not record:
        return Stepped(done.state, {}, {})
    return Stepped(done.state, found.scalars | descent_scalars(state, got.grads, done), found.norms)
