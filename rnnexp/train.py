"""The jitted chunk of training steps. No input or output.

A run is one compiled function of (state, chunk). A chunk is a scan over steps; each is
skipped, taken, or taken and recorded, by a branch on traced values, so one program
serves every chunk of a run, whatever its length. Sequences of many lengths come in
buckets, each a branch of the same program. The host logs and decides between chunks.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.data_parallel import divide_chunk, own_examples
from rnnexp.gradflow.profile import decay_scalars, stack_profiles
from rnnexp.objective import backward
from rnnexp.optim import Hyper, clip, update_params
from rnnexp.penalties import Given
from rnnexp.recipe import Recipe, TrainState, start_states
from rnnexp.tasks.base import Bucketed, Stream
from rnnexp.tasks.batches import (
    Keys,
    bucket_batch,
    bucket_of,
    epoch_length,
    epoch_order,
    training_batch,
)
from rnnexp.trees import leaf_norms, tree_norm
from rnnexp.types import Array, Batch, Key, Tree


class Records(NamedTuple):
    """What a chunk reports, with a leading axis over its steps.

    `recorded` says which rows hold figures; the others are zeros. `scalars` are by name
    and `norms` are profiles (L, T) by state leaf, one row a unit. A unit or bucket with
    fewer steps than T has zeros in front, so that lags agree.
    """

    step: Array
    recorded: Array
    scalars: dict[str, Array]
    norms: dict[str, Array]


class Stepped(NamedTuple):
    """A step's new state and what it measured."""

    state: TrainState
    scalars: dict[str, Array]
    norms: dict[str, Array]


def train_step(
    recipe: Recipe, state: TrainState, batch: Batch, hyper: Hyper, key: Key, *, record: bool
) -> Stepped:
    """One update; with `record`, everything that is logged, from the same backward pass.

    A non-finite loss or gradient makes no update: the state comes back marked diverged.
    """
    given = Given(batch, state.carry, key, hyper, state.step)
    got = backward(recipe, state.params, given, record=record)
    rate = hyper["learning_rate"] * recipe.rate_factor(state.step)
    clipped = clip(recipe.clip, got.grads, hyper["clip_threshold"], state.params)
    params, opt_state, updates = update_params(
        recipe.optimizer, hyper, rate, clipped.grads, state.opt_state, state.params
    )
    finite = jnp.isfinite(got.means["loss"]) & jnp.isfinite(clipped.norm_before)
    kept = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, got.carry),
        (state.params, state.opt_state, state.carry),
    )
    step = state.step + finite.astype(jnp.int32)
    new_state = TrainState(kept[0], kept[1], step, ~finite, kept[2])
    if not record:
        return Stepped(new_state, {}, {})
    scalars = got.means | {
        "learning_rate": rate,
        "grad_norm": clipped.norm_before,
        "grad_norm_clipped": clipped.norm_after,
        "clip_fired": clipped.fired,
        "clip_cosine": clipped.cosine,
        "update_ratio": tree_norm(updates) / tree_norm(state.params),
    }
    scalars |= {f"regularizer/{name}": value for name, value in got.penalties.items()}
    scalars |= {f"grad_norm/{name}": norm for name, norm in leaf_norms(got.grads).items()}
    units = recipe.model(state.params).units()
    scalars |= decay_scalars(units, got.profiles)
    return Stepped(new_state, scalars, stack_profiles(got.profiles, recipe.profile_steps))


Chunk = Callable[[TrainState, Array, Array, Keys, Hyper, Tree], tuple[TrainState, Records]]
"""`(state, stop, every, keys, hyper, arrays) -> (state, records)`."""


def chunk_function(recipe: Recipe) -> Chunk:
    """The chunk: `(state, stop, every, keys, hyper, arrays) -> (state, records)`.

    Takes steps until `stop`, `recipe.chunk_steps` or a divergence, whichever is first,
    and records those that `every` divides. The chunk must lie within one epoch.
    """

    def chunk(
        state: TrainState, stop: Array, every: Array, keys: Keys, hyper: Hyper, arrays: Tree
    ) -> tuple[TrainState, Records]:
        order = epoch_order(recipe.task.train, keys.data, state.step, recipe.batch_size)
        take = partial(take_step, recipe, order, keys, hyper, arrays)
        shapes = jax.eval_shape(partial(take, record=True), state)

        def blank() -> tuple[dict[str, Array], dict[str, Array]]:
            zeros: Any = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[1:])
            return tuple(zeros)

        branches: list[Callable[[TrainState], Stepped]] = [
            lambda s: Stepped(s, *blank()),
            lambda s: Stepped(take(s, record=False).state, *blank()),
            partial(take, record=True),
        ]

        def body(state: TrainState, _: None) -> tuple[TrainState, Records]:
            active = (state.step < stop) & ~state.diverged
            recorded = active & (state.step % every == 0)
            branch = active.astype(jnp.int32) + recorded.astype(jnp.int32)
            new, scalars, norms = jax.lax.switch(branch, branches, state)
            return new, Records(state.step, recorded, scalars, norms)

        return jax.lax.scan(body, state, length=recipe.chunk_steps)

    return divide_chunk(recipe.devices, chunk)


def take_step(
    recipe: Recipe,
    order: Tree,
    keys: Keys,
    hyper: Hyper,
    arrays: Tree,
    state: TrainState,
    *,
    record: bool,
) -> Stepped:
    """The next step: its batch, from its bucket if there are any, and the update."""
    source, size = recipe.task.train, recipe.batch_size
    own = partial(own_examples, recipe.devices, mode=recipe.task.mode)
    noise = jax.random.fold_in(keys.noise, state.step)
    if isinstance(source, Bucketed):
        bucket, index = bucket_of(source, order, state.step, size)

        def in_bucket(number: int, state: TrainState) -> Stepped:
            batch = bucket_batch(source, number, arrays, order, index, size)
            return train_step(recipe, state, own(batch), hyper, noise, record=record)

        branches = [partial(in_bucket, number) for number in range(len(source.buckets))]
        result: Stepped = jax.lax.switch(bucket, branches, state)
        return result
    if isinstance(source, Stream):
        begins = state.step % (epoch_length(source, size) or 1) == 0
        fresh = start_states(recipe.model(state.params), size // recipe.devices)
        carry = jax.tree.map(lambda new, old: jax.lax.select(begins, new, old), fresh, state.carry)
        state = state._replace(carry=carry)
    batch = training_batch(source, arrays, order, keys.data, state.step, size)
    return train_step(recipe, state, own(batch), hyper, noise, record=record)
