"""Batches visit every example as often as they should, in an order that key and step decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Batch
from rnnexp.tasks.base import Bucket, Bucketed, Finite, Stream
from rnnexp.tasks.batches import (
    bucket_batch,
    bucket_of,
    current_order,
    current_orders,
    epoch_length,
    epoch_order,
    evaluation_batch,
    no_order,
    padding,
    source_arrays,
    stream_batch,
    stream_windows,
)
from rnnexp.train.build import build_task
from tests.helpers.task_batches import KEY


def test_buckets_are_visited_evenly() -> None:
    """In an epoch every bucket's every batch comes once, and all examples are seen."""
    sizes = (7, 4, 1)
    buckets = tuple(Bucket(jnp.arange(n) + 10 * i, n, 5 + i) for i, n in enumerate(sizes))
    source = Bucketed(buckets, lambda values, index: Batch(values[index], values[index]))
    assert epoch_length(source, 3) == 3 + 2 + 1
    order = epoch_order(source, KEY, jnp.array(6), 3)
    seen: list[int] = []
    for step in range(6, 12):
        bucket, index = bucket_of(source, order, jnp.array(step), 3)
        batch = bucket_batch(source, int(bucket), source_arrays(source), order, index, 3)
        seen += np.asarray(batch.targets).tolist()
    assert sorted(set(seen)) == [*range(7), *range(10, 14), 20]
    assert len(seen) == 18
    first = [bucket_of(source, order, jnp.array(step), 3) for step in range(6)]
    assert sorted((int(b), int(i)) for b, i in first) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)
    ]  # fmt: skip


def test_padding_is_counted() -> None:
    arrays = (jnp.zeros((2, 6, 1)), jnp.array([6, 3]))
    take = lambda a, index: Batch(jnp.swapaxes(a[0][index], 0, 1), a[0][index], a[1][index])  # noqa: E731
    buckets = (Bucket(arrays, 2, 6), Bucket((jnp.zeros((1, 8, 1)), jnp.array([8])), 1, 8))
    assert padding(Bucketed(buckets, take)) == pytest.approx(3 / 20)


@pytest.mark.parametrize(("size", "batch_size"), [(100, 3), (101, 3), (64, 4), (5, 5)])
def test_an_evaluation_reads_a_stream_once(size: int, batch_size: int) -> None:
    source = Stream(
        jnp.arange(size + 1),
        size,
        8,
        lambda codes, positions: Batch(codes[positions], codes[positions + 1]),
    )
    read: list[int] = []
    for window in range(stream_windows(source, batch_size)):
        batch = stream_batch(source, source.arrays, jnp.array(window), batch_size)
        assert batch.lengths_B is not None
        for b, length in enumerate(batch.lengths_B.tolist()):
            read += np.asarray(batch.inputs_TxBxI)[:length, b].tolist()
    assert sorted(read) == list(range(size))


def test_an_epoch_visits_every_example_once_in_a_new_order() -> None:
    task = build_task("digits")
    assert isinstance(task.train, Finite)
    size = task.train.size
    orders = [epoch_order(task.train, KEY, jnp.array(step), 100) for step in (0, 11, 12)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(size))
    np.testing.assert_array_equal(orders[0], orders[1])  # 12 steps of 100 are an epoch of 1,257
    assert bool(jnp.any(orders[0] != orders[2]))


def test_an_order_is_drawn_anew_only_in_another_epoch() -> None:
    task = build_task("digits")
    first = no_order(task.train, 100)
    assert int(first.epoch) == -1
    at = jax.jit(lambda step, held: current_order(task.train, KEY, step, 100, held))
    order = first
    for step in (0, 11, 12, 30, 5):  # 12 steps are an epoch; a run that resumes may go back
        order = at(jnp.array(step, jnp.int32), order)
        assert int(order.epoch) == step // 12
        np.testing.assert_array_equal(
            order.indices, epoch_order(task.train, KEY, jnp.array(step), 100)
        )
    marked = order._replace(indices=order.indices + 1)
    kept = at(jnp.array(6, jnp.int32), marked)
    np.testing.assert_array_equal(kept.indices, marked.indices)


def test_orders_of_lanes_are_drawn_if_one_lane_needs_it() -> None:
    task = build_task("digits")
    keys = jax.random.split(KEY, 2)
    none = jax.tree.map(lambda x: jnp.stack([x, x]), no_order(task.train, 100))
    at = jax.jit(lambda steps, held: current_orders(task.train, keys, steps, 100, held))
    order = none
    for steps in ((0, 30), (11, 31), (12, 31)):
        order = at(jnp.array(steps, jnp.int32), order)
        assert order.epoch.tolist() == [step // 12 for step in steps]
        for lane, step in enumerate(steps):
            np.testing.assert_array_equal(
                order.indices[lane], epoch_order(task.train, keys[lane], jnp.array(step), 100)
            )
    marked = order._replace(indices=order.indices + 1)
    kept = at(jnp.array((13, 32), jnp.int32), marked)
    np.testing.assert_array_equal(kept.indices, marked.indices)


def test_an_evaluation_counts_every_example_once() -> None:
    task = build_task("digits")
    assert isinstance(task.test, Finite)
    arrays = source_arrays(task.test)
    parts = [evaluation_batch(task.test, arrays, KEY, jnp.array(i), 100, 360) for i in range(4)]
    kept = [np.asarray(b.targets)[np.asarray(w) == 1] for b, w in parts]
    np.testing.assert_array_equal(np.concatenate(kept), np.asarray(arrays[1]))
