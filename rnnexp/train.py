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
import numpy as np

from rnnexp.data_parallel import divide_chunk, own_examples
from rnnexp.gradflow.profile import decay_scalars, stack_profiles
from rnnexp.objective import backward
from rnnexp.optim import Hyper, clip, update_params
from rnnexp.penalties import Given
from rnnexp.recipe import Recipe, TrainState, start_states
from rnnexp.tasks.base import Bucketed, Stream
from rnnexp.tasks.batches import (
    Keys,
    Order,
    bucket_batch,
    bucket_of,
    current_order,
    epoch_length,
    training_batch,
)
from rnnexp.trees import leaf_norms, tree_norm, tree_size
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


Chunk = Callable[
    [TrainState, Order, Array, Array, Keys, Hyper, Tree], tuple[TrainState, Order, Records]
]
"""`(state, order, stop, every, keys, hyper, arrays) -> (state, order, records)`."""


def chunk_function(recipe: Recipe) -> Chunk:
    """The chunk: `(state, order, stop, every, keys, hyper, arrays) -> (state, order, records)`.

    Takes steps until `stop`, `recipe.chunk_steps` or a divergence, whichever is first,
    and records those that `every` divides. The chunk must lie within one epoch; the order
    that it hands back is for the next one.
    """

    def chunk(
        state: TrainState,
        order: Order,
        stop: Array,
        every: Array,
        keys: Keys,
        hyper: Hyper,
        arrays: Tree,
    ) -> tuple[TrainState, Order, Records]:
        order = current_order(recipe.task.train, keys.data, state.step, recipe.batch_size, order)
        take = partial(take_step, recipe, order.indices, keys, hyper, arrays)
        shapes = jax.eval_shape(partial(take, record=True), state)[1:]
        nothing = jnp.zeros(tree_size(shapes))

        def recorded_step(state: TrainState) -> tuple[TrainState, Array]:
            new = take(state, record=True)
            return new.state, as_row(new[1:])

        branches: list[Callable[[TrainState], tuple[TrainState, Array]]] = [
            lambda s: (s, nothing),
            lambda s: (take(s, record=False).state, nothing),
            recorded_step,
        ]

        def body(state: TrainState, _: None) -> tuple[TrainState, tuple[Array, Array, Array]]:
            active = (state.step < stop) & ~state.diverged
            recorded = active & (state.step % every == 0)
            branch = active.astype(jnp.int32) + recorded.astype(jnp.int32)
            new, row = jax.lax.switch(branch, branches, state)
            return new, (state.step, recorded, row)

        state, (steps, recorded, rows) = jax.lax.scan(body, state, length=recipe.chunk_steps)
        return state, order, Records(steps, recorded, *from_rows(rows, shapes))

    return divide_chunk(recipe.devices, chunk)


def as_row(tree: Tree) -> Array:
    """All leaves in one vector: for every array that a branch gives, a step takes longer."""
    return jnp.concatenate([leaf.astype(float).reshape(-1) for leaf in jax.tree.leaves(tree)])


def from_rows(rows: Array, shapes: Tree) -> Any:
    """The trees, of these shapes, that `as_row` has made rows of, with a leading axis of them."""
    leaves, structure = jax.tree.flatten(shapes)
    cuts = np.cumsum([leaf.size for leaf in leaves])[:-1].tolist()
    parts = [
        part.reshape(-1, *leaf.shape).astype(leaf.dtype)
        for part, leaf in zip(jnp.split(rows, cuts, axis=1), leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


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
