"""The jitted chunk of training steps. No input or output.

A chunk is a loop over steps up to a traced number, so one program serves chunks of any length.
The backward pass has a branch that records and one that does not; both share the update.
Sequences of unequal lengths come in buckets, each a branch of the same program. The host logs
and decides between chunks.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.tree import tree_size
from rnnexp.core.types import Array, Tree
from rnnexp.tasks.batches import EpochOrder, Keys, current_order
from rnnexp.train.data_parallel import divide_chunk
from rnnexp.train.optim import Hyper
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step import Gradient, Lane, Update, measure_next, update, update_scalars
from rnnexp.train.step_metrics import Contents, RecordRows, as_row, contents_of

Chunk = Callable[
    [TrainState, EpochOrder, Array, Array, Keys, Hyper, Tree],
    tuple[TrainState, EpochOrder, RecordRows],
]
"""`(state, order, stop, every, keys, hyper, arrays) -> (state, order, rows)`."""


class Parts(NamedTuple):
    """The functions of one lane's steps, each traced once, and the contents of its rows.

    `plain` and `recorded` are `(arrays, lane) -> (gradient, row)`, with a row of zeros in a
    plain step; `update` is `(state, gradient, hyper) -> update`; `finish` is
    `(row, state, grads, update) -> row` and adds the figures of the update.
    """

    plain: Callable[[Tree, Lane], tuple[Gradient, Array]]
    recorded: Callable[[Tree, Lane], tuple[Gradient, Array]]
    update: Callable[[TrainState, Gradient, Hyper], Update]
    finish: Callable[[Array, TrainState, Tree, Update], Array]
    contents: Contents


def parts_of(recipe: Recipe, arrays: Tree, lane: Lane) -> Parts:
    """The parts of the steps of a lane like this one."""
    # jit caches the trace for later calls
    full = jax.jit(partial(measure_next, recipe, record=True))
    make_update = jax.jit(partial(update, recipe))
    scalars_of = jax.jit(update_scalars)
    got, metrics = jax.eval_shape(full, arrays, lane)
    done = jax.eval_shape(make_update, lane.state, got, lane.hyper)
    scalars = jax.eval_shape(scalars_of, lane.state, got.grads, done)

    def plain(arrays: Tree, lane: Lane) -> tuple[Gradient, Array]:
        return measure_next(recipe, arrays, lane, record=False)[0], jnp.zeros(tree_size(metrics))

    def recorded(arrays: Tree, lane: Lane) -> tuple[Gradient, Array]:
        got, metrics = full(arrays, lane)
        return got, as_row(metrics)

    def finish(row: Array, state: TrainState, grads: Tree, done: Update) -> Array:
        return jnp.concatenate([row, as_row(scalars_of(state, grads, done))])

    return Parts(plain, recorded, make_update, finish, contents_of((metrics, scalars)))


def chunk_function(recipe: Recipe) -> Chunk:
    """The `Chunk` of a recipe.

    It takes steps until `stop`, `recipe.chunk_steps` or a divergence, whichever is first,
    and records those that `every` divides. A chunk must lie within one epoch; the order
    that it returns is for the next chunk.
    """

    def chunk(
        state: TrainState,
        order: EpochOrder,
        stop: Array,
        every: Array,
        keys: Keys,
        hyper: Hyper,
        arrays: Tree,
    ) -> tuple[TrainState, EpochOrder, RecordRows]:
        order = current_order(recipe.task.train, keys.data, state.step, recipe.batch_size, order)
        first = Lane(state, order.indices, keys, hyper)
        parts = parts_of(recipe, arrays, first)
        nothing = jnp.zeros(parts.contents.size)

        def take(state: TrainState) -> tuple[TrainState, Array, Array]:
            lane, recorded = first._replace(state=state), state.step % every == 0
            got, row = jax.lax.cond(recorded, parts.recorded, parts.plain, arrays, lane)
            done = parts.update(state, got, hyper)
            finish = partial(parts.finish, row, state, got.grads, done)
            return done.state, recorded, jax.lax.cond(recorded, finish, lambda: nothing)

        new, rows = take_until(stop, take, state, recipe.chunk_steps, parts.contents)
        return new, order, rows

    return divide_chunk(recipe.devices, chunk)


def active(state: TrainState, stop: Array) -> Array:
    """Whether the next step is due, by lane if there are several."""
    return (state.step < stop) & ~state.diverged


def take_until(
    stop: Array,
    take: Callable[[TrainState], tuple[TrainState, Array, Array]],
    state: TrainState,
    most: int,
    contents: Contents,
) -> tuple[TrainState, RecordRows]:
    """Take up to `most` steps while any lane is `active`; `take` returns the new state, whether
    the step was recorded, and its row. The axis of lanes follows that of the steps."""
    lanes = state.step.shape
    rows = RecordRows(
        jnp.zeros((most, *lanes), jnp.int32),
        jnp.zeros((most, *lanes), bool),
        jnp.zeros((most, *lanes, contents.size)),
        contents,
    )

    def goes_on(loop: tuple[Array, TrainState, RecordRows]) -> Array:
        count, state, _ = loop
        return (count < most) & jnp.any(active(state, stop))

    def body(loop: tuple[Array, TrainState, RecordRows]) -> tuple[Array, TrainState, RecordRows]:
        count, state, rows = loop
        new, recorded, values = take(state)
        row = RecordRows(state.step, recorded, values, contents)
        put = partial(jax.lax.dynamic_update_index_in_dim, index=count, axis=0)
        return count + 1, new, jax.tree.map(put, rows, row)

    return jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), state, rows))[1:]
