"""The examples of a step: a function of the key and the step alone.

| source | an epoch is | the batch of step n is |
| --- | --- | --- |
| `Endless` | not defined | drawn from the key of step n |
| `Finite` | the whole batches of one shuffle | the next of this epoch's order, augmented |
| `Bucketed` | every bucket's batches, all shuffled | one bucket's, filled up from that bucket |
| `Stream` | the windows of one pass | the next window of B parallel stretches |
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.masking import fill_batch
from rnnexp.core.seeds import seed_key
from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.tasks.base import Bucketed, Endless, Finite, Source, Stream, Task

STREAMS = {"train": 1, "valid": 2, "test": 3, "noise": 4}  # stream 0 draws the initial weights


class Keys(NamedTuple):
    """The keys of training: of data and their order, and of noise in the model."""

    data: Key
    noise: Key


def stream_keys(seed: int) -> dict[str, Key]:
    """The keys of a run's streams of randomness."""
    key = seed_key(seed)
    return {name: jax.random.fold_in(key, number) for name, number in STREAMS.items()}


def fill_paddings(task: Task) -> Task:
    """A task whose batches have their padding filled (see `masking.fill_padding`).

    Of tasks whose sequences are all full, every batch stays as it is.
    """
    sources = (task.train, task.valid, task.test)
    filled = {id(source): _filled(source, task.mode) for source in sources}
    train, valid, test = (filled[id(source)] for source in sources)
    return replace(task, train=train, valid=valid, test=test)


def _filled(source: Source, mode: str) -> Source:
    """A source that fills the padding of its batches."""
    if isinstance(source, Endless):
        draw = source.draw
        return Endless(lambda key, batch_size: fill_batch(draw(key, batch_size), mode))
    take = source.take
    return replace(source, take=lambda arrays, places: fill_batch(take(arrays, places), mode))


def source_arrays(source: Source) -> Tree:
    """A source's arrays on the device: arguments of compiled functions, never closed over."""
    match source:
        case Finite() | Stream():
            return source.arrays
        case Bucketed():
            return tuple(bucket.arrays for bucket in source.buckets)
    return ()


def source_size(source: Source) -> int | None:
    """Examples of a source (symbols of a stream); None for endless ones."""
    match source:
        case Finite() | Stream():
            return source.size
        case Bucketed():
            return sum(bucket.size for bucket in source.buckets)
    return None


def epoch_length(source: Source, batch_size: int) -> int | None:
    """Steps of one epoch; None for endless sources."""
    match source:
        case Finite():
            return source.size // batch_size
        case Bucketed():
            return sum(bucket_batches(source, batch_size))
        case Stream():
            return source.size // batch_size // source.window_steps
    return None


def bucket_batches(source: Bucketed, batch_size: int) -> list[int]:
    """Batches of every bucket in an epoch; the last of each may be filled up."""
    return [-(-bucket.size // batch_size) for bucket in source.buckets]


def left_out(source: Source, batch_size: int) -> int:
    """Examples (symbols of a stream) that no step of an epoch sees."""
    match source:
        case Finite():
            return source.size % batch_size
        case Stream():
            epoch = epoch_length(source, batch_size) or 0
            return source.size - epoch * batch_size * source.window_steps
    return 0


def epoch_order(source: Source, key: Key, step: Array, batch_size: int) -> Tree:
    """The shuffled order of the epoch of `step`, a function of (key, step) alone.

    Of a `Finite` source the indices, of a `Bucketed` one the numbers of its batches and
    then the indices within each bucket; else ().
    """
    if not isinstance(source, Finite | Bucketed):
        return ()
    epoch_key = jax.random.fold_in(key, step // (epoch_length(source, batch_size) or 1))

    def shuffled(key: Key, size: int) -> Array:
        return jax.random.permutation(key, jnp.arange(size, dtype=jnp.int32))

    if isinstance(source, Finite):
        return shuffled(epoch_key, source.size)
    keys = jax.random.split(epoch_key, len(source.buckets) + 1)
    batches = shuffled(keys[0], epoch_length(source, batch_size) or 0)
    return batches, tuple(
        shuffled(key, bucket.size) for key, bucket in zip(keys[1:], source.buckets, strict=True)
    )


class EpochOrder(NamedTuple):
    """The shuffled order of an epoch, and that epoch's number; -1 before the first draw."""

    epoch: Array | np.ndarray
    indices: Tree


def no_order(source: Source, batch_size: int) -> EpochOrder:
    """The order before the first chunk of steps, as arrays on the host."""
    first = np.zeros((), np.int32)
    shapes = jax.eval_shape(
        lambda key: epoch_order(source, key, jnp.asarray(first), batch_size), jax.random.key(0)
    )
    return EpochOrder(first - 1, jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes))


def current_order(
    source: Source, key: Key, step: Array, batch_size: int, held: EpochOrder
) -> EpochOrder:
    """`epoch_order`, drawn again only if `held` is of another epoch: the shuffle is slow."""
    epoch = step // (epoch_length(source, batch_size) or 1)

    def draw() -> Tree:
        return epoch_order(source, key, step, batch_size)

    return EpochOrder(epoch, jax.lax.cond(epoch == held.epoch, lambda: held.indices, draw))


def current_orders(
    source: Source, key_L: Key, step_L: Array, batch_size: int, held: EpochOrder
) -> EpochOrder:
    """`current_order` of all lanes: drawn for all if one of them needs it."""
    epoch_L = step_L // (epoch_length(source, batch_size) or 1)

    def draw() -> Tree:
        return jax.vmap(lambda k, s: epoch_order(source, k, s, batch_size))(key_L, step_L)

    same = jnp.all(epoch_L == held.epoch)
    return EpochOrder(epoch_L, jax.lax.cond(same, lambda: held.indices, draw))


def training_batch(
    source: Endless | Finite | Stream,
    arrays: Tree,
    order: Tree,
    key: Key,
    step: Array,
    batch_size: int,
) -> Batch:
    """The batch of a step: drawn from the step's key, the next of the order, or a window."""
    match source:
        case Endless():
            return source.draw(jax.random.fold_in(key, step), batch_size)
        case Stream():
            window = step % (epoch_length(source, batch_size) or 1)
            stretch = source.size // batch_size
            return source.take(arrays, _positions(source, window, stretch, batch_size))
    start = (step % (source.size // batch_size)) * batch_size
    batch = source.take(arrays, jax.lax.dynamic_slice(order, (start,), (batch_size,)))
    if source.augment is None:
        return batch
    return source.augment(jax.random.fold_in(key, step), batch)


def next_batches(
    source: Source, arrays: Tree, order: Tree, key: Key, step: Array, batch_size: int
) -> tuple[Array, list[Callable[[], Batch]]]:
    """The batch after `step` updates: an index, and functions of which that one makes it.

    There is one function a bucket, as batches of different lengths have different shapes,
    and only one without buckets. `order` is the epoch's (`epoch_order`).
    """
    if not isinstance(source, Bucketed):
        make = partial(training_batch, source, arrays, order, key, step, batch_size)
        return jnp.zeros((), jnp.int32), [make]
    bucket, index = bucket_of(source, order, step, batch_size)
    return bucket, [
        partial(bucket_batch, source, number, arrays, order, index, batch_size)
        for number in range(len(source.buckets))
    ]


def first_batch(source: Source, key: Key, batch_size: int) -> Batch:
    """The batch of a run's first step; `key` is the key of its training data."""
    step, arrays = jnp.zeros((), jnp.int32), source_arrays(source)
    order = jax.jit(lambda key: epoch_order(source, key, step, batch_size))(key)
    bucket = int(next_batches(source, arrays, order, key, step, batch_size)[0])

    def make(arrays: Tree, order: Tree, key: Key) -> Batch:
        return next_batches(source, arrays, order, key, step, batch_size)[1][bucket]()

    batch: Batch = jax.jit(make)(arrays, order, key)
    return batch


def batch_shapes(source: Source, batch_size: int) -> Batch:
    """Shapes and types of a batch of a source; of its first bucket if it has several."""
    indices_B: Any = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    match source:
        case Endless():
            key = jax.eval_shape(jax.random.key, 0)
            made = jax.eval_shape(lambda key: source.draw(key, batch_size), key)
        case Bucketed():
            made = jax.eval_shape(source.take, source.buckets[0].arrays, indices_B)
        case Stream():
            positions = jax.ShapeDtypeStruct((source.window_steps, batch_size), jnp.int32)
            made = jax.eval_shape(source.take, source.arrays, positions)
        case _:
            made = jax.eval_shape(source.take, source.arrays, indices_B)
    batch: Batch = made
    return batch


def example_context(source: Source) -> Tree:
    """Shapes and types of the context of one example of a source; None without context."""
    batch = batch_shapes(source, 1)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch.context
    )


def padding(source: Bucketed) -> float:
    """The fraction of all steps of all buckets that are padding."""
    steps = valid = 0
    for bucket in source.buckets:
        lengths_B = source.take(bucket.arrays, jnp.arange(bucket.size)).lengths_B
        steps += bucket.size * bucket.steps
        valid += bucket.size * bucket.steps if lengths_B is None else int(jnp.sum(lengths_B))
    return 1 - valid / steps


def bucket_of(source: Bucketed, order: Tree, step: Array, batch_size: int) -> tuple[Array, Array]:
    """The bucket of a step's batch, and the batch's number within that bucket."""
    counts = bucket_batches(source, batch_size)
    number = order[0][step % sum(counts)]
    firsts = jnp.asarray(np.cumsum([0, *counts[:-1]]), jnp.int32)
    bucket = jnp.sum((number >= firsts).astype(jnp.int32)) - 1
    return bucket, number - firsts[bucket]


def bucket_batch(
    source: Bucketed, bucket: int, arrays: Tree, order: Tree, index: Array, batch_size: int
) -> Batch:
    """Batch `index` of a bucket. The last is filled up from the bucket's first examples."""
    position_B = index * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    return source.take(arrays[bucket], order[1][bucket][position_B % source.buckets[bucket].size])


def evaluation_batch(
    source: Endless | Finite, arrays: Tree, key: Key, index: Array, batch_size: int, examples: int
) -> tuple[Batch, Array]:
    """Batch `index` of an evaluation over `examples`, and weights: 1, or 0 beyond them."""
    position_B = index * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    weight_B = (position_B < examples).astype(float)
    if isinstance(source, Endless):
        return source.draw(jax.random.fold_in(key, index), batch_size), weight_B
    return source.take(arrays, jnp.minimum(position_B, source.size - 1)), weight_B


def stream_windows(source: Stream, batch_size: int) -> int:
    """Windows in which `batch_size` parallel stretches cover the whole stream."""
    stretch = -(-source.size // batch_size)
    return -(-stretch // source.window_steps)


def stream_batch(source: Stream, arrays: Tree, window: Array, batch_size: int) -> Batch:
    """Window `window` of an evaluation; `lengths_B` ends where the stretch or stream does."""
    stretch = -(-source.size // batch_size)
    positions_TxB = _positions(source, window, stretch, batch_size)
    batch = source.take(arrays, jnp.minimum(positions_TxB, source.size - 1))
    stretch_end_B = (jnp.arange(batch_size, dtype=jnp.int32) + 1) * stretch
    left_B = jnp.minimum(stretch_end_B, source.size) - positions_TxB[0]
    return batch._replace(lengths_B=jnp.clip(left_B, 0, source.window_steps))


def _positions(source: Stream, window: Array, stretch: int, batch_size: int) -> Array:
    """Positions (T, B) of a window in stretches that begin every `stretch` symbols."""
    t_Tx1 = jnp.arange(source.window_steps, dtype=jnp.int32)[:, None]
    begin_1xB = jnp.arange(batch_size, dtype=jnp.int32)[None, :] * stretch
    return begin_1xB + t_Tx1 + window * source.window_steps
