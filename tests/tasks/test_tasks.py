"""Every task: contract, closed-form baselines, and batches as they are described."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Bucket, Bucketed, Finite, Score, Stream, Task
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
    training_batch,
)
from rnnexp.tasks.copy_memory import BLANK, MARKER
from rnnexp.train.plan import build_task
from tests.helpers.data_files import DATA, data_or_skip

B = 6
KEY = jax.random.key(0)


def task_named(name: str, **options: object) -> Task:
    """A task with its data, or a skip that says which file is missing."""
    file = DATA.get(name)
    return build_task(name, None if file is None else data_or_skip(file), **options)


def batch_of(task: Task, split: str = "train", size: int = B) -> Batch:
    """A first batch; of a task with buckets, from the longest one."""
    source = getattr(task, split)
    arrays = source_arrays(source)
    match source:
        case Bucketed():
            order = epoch_order(source, KEY, jnp.array(0), size)
            last = len(source.buckets) - 1
            return bucket_batch(source, last, arrays, order, jnp.array(0), size)
        case Stream():
            return stream_batch(source, arrays, jnp.array(0), size)
    return evaluation_batch(source, arrays, KEY, jnp.array(0), size, size)[0]


def mean_scores(task: Task, outputs: Array, batch: Batch) -> dict[str, float]:
    """Scores of outputs averaged over the batch."""
    return {name: float(score.mean()) for name, score in task.scores(outputs, batch).items()}


@pytest.mark.parametrize("name", TASKS.builtin)
def test_the_contract(name: str) -> None:
    task = task_named(name)
    assert TASKS.entry(name).modes == (task.mode,)
    assert task.name == name
    for split in ("train", "valid", "test"):
        batch = batch_of(task, split)
        longest = batch.inputs_TxBxI.shape[0]
        if not isinstance(getattr(task, split), Bucketed):
            assert longest == task.num_steps
        assert longest <= task.num_steps
        assert batch.inputs_TxBxI.shape == (longest, B, task.input_size)
        assert batch.inputs_TxBxI.dtype == jnp.float32
        steps = {"synchronous": (longest,), "asynchronous": (task.target_steps,)}
        outputs = jnp.zeros((*steps.get(task.mode, ()), B, task.output_size))
        scores = task.scores(outputs, batch)
        assert set(task.baseline) <= set(scores) | {"exact"}
        assert {"loss", task.headline} <= set(scores) | {"exact"}
        for score in scores.values():
            assert score.total_B.shape == score.count_B.shape == (B,)
            assert math.isfinite(float(score.mean()))


@pytest.mark.parametrize("name", TASKS.builtin)
def test_the_batch_of_a_step_is_a_function_of_key_and_step(name: str) -> None:
    task = task_named(name)
    arrays, source = source_arrays(task.train), task.train

    @jax.jit
    def draw(key: Array, step: Array) -> Batch:
        order = epoch_order(source, key, step, B)
        if isinstance(source, Bucketed):
            return bucket_batch(source, 0, arrays, order, step, B)
        return training_batch(source, arrays, order, key, step, B)

    one, again = draw(KEY, jnp.array(1)), draw(KEY, jnp.array(1))
    np.testing.assert_array_equal(one.inputs_TxBxI, again.inputs_TxBxI)
    others = [draw(KEY, jnp.array(2))]
    if not isinstance(source, Stream):  # a text is always read from its beginning
        others.append(draw(jax.random.key(1), jnp.array(1)))
    for other in others:
        assert bool(jnp.any(one.inputs_TxBxI != other.inputs_TxBxI))


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


@pytest.mark.parametrize("delay", [1, 7, 100])
def test_copy_memory_sequences(delay: int) -> None:
    task = build_task("copy_memory", delay_steps=delay)
    batch = batch_of(task)
    symbols = np.argmax(batch.inputs_TxBxI, -1)
    assert symbols.shape == (delay + 20, B)
    np.testing.assert_array_equal(np.sum(batch.inputs_TxBxI, -1), 1)
    assert symbols[:10].max() < 8
    assert (symbols[10 : 9 + delay] == BLANK).all()
    assert (symbols[9 + delay] == MARKER).all()
    assert (symbols[10 + delay :] == BLANK).all()
    np.testing.assert_array_equal(batch.targets[-10:], symbols[:10])
    assert bool(jnp.all(batch.targets[:-10] == BLANK))


@pytest.mark.parametrize("delay", [20, 100])
def test_the_copy_baseline_is_what_the_best_memoryless_answer_scores(delay: int) -> None:
    task = build_task("copy_memory", delay_steps=delay)
    batch = batch_of(task, size=2000)
    blank = jnp.where(jnp.arange(9) == BLANK, 40.0, 0.0)
    guess = jnp.where(jnp.arange(9) == BLANK, -40.0, 0.0)
    recall = jnp.arange(delay + 20) >= delay + 10
    answer = jnp.where(recall[:, None], guess[None], blank[None])
    outputs = jnp.broadcast_to(answer[:, None], (delay + 20, 2000, 9))
    scores = mean_scores(task, outputs, batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(task.baseline["loss"], 10 * math.log(8) / (delay + 20))
    # always the same symbol: 1/8 of 20,000 draws, deviation 0.0023
    np.testing.assert_allclose(scores["recall_accuracy"], 1 / 8, atol=0.012)


def test_adding() -> None:
    task = build_task("adding", length_steps=31)
    batch = batch_of(task, size=20_000)
    value, marker = batch.inputs_TxBxI[..., 0], batch.inputs_TxBxI[..., 1]
    np.testing.assert_array_equal(jnp.sum(marker[:15], 0), 1)
    np.testing.assert_array_equal(jnp.sum(marker[15:], 0), 1)
    np.testing.assert_allclose(jnp.sum(value * marker, 0), batch.targets[:, 0], rtol=1e-6)
    assert mean_scores(task, batch.targets, batch) == {"loss": 0}
    ones = mean_scores(task, jnp.ones((20_000, 1)), batch)
    # the squared error of a sum of two uniforms has deviation 0.186, its mean here 0.0013
    np.testing.assert_allclose(ones["loss"], task.baseline["loss"], atol=0.0066)


def test_image_baselines_are_what_the_class_frequencies_score() -> None:
    task = build_task("digits")
    assert isinstance(task.train, Finite)
    assert isinstance(task.test, Finite)
    counts = np.bincount(np.asarray(task.train.arrays[1]), minlength=10)
    batch = batch_of(task, "test", task.test.size)
    outputs = jnp.broadcast_to(jnp.log(counts / counts.sum())[None], (task.test.size, 10))
    for name, value in mean_scores(task, outputs.astype(jnp.float32), batch).items():
        np.testing.assert_allclose(value, task.baseline[name], rtol=1e-5)


def test_mnist_reading_orders() -> None:
    data_dir = data_or_skip(DATA["mnist"])
    rows = batch_of(build_task("mnist", data_dir)).inputs_TxBxI
    pixels = batch_of(build_task("mnist", data_dir, by="pixel")).inputs_TxBxI
    permuted = batch_of(build_task("mnist", data_dir, by="pixel", permuted=True)).inputs_TxBxI
    other = build_task("mnist", data_dir, by="pixel", permuted=True, permutation_seed=1)
    np.testing.assert_array_equal(pixels[:, 0, 0], rows[:, 0].reshape(784))
    order = np.random.default_rng(0).permutation(784)
    np.testing.assert_array_equal(permuted[:, 0, 0], pixels[order, 0, 0])
    assert bool(jnp.any(batch_of(other).inputs_TxBxI != permuted))
    np.testing.assert_allclose(build_task("mnist", data_dir).baseline["accuracy"], 0.1135)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("copy_memory", {"delay_steps": 0}, "delay_steps must be at least 1"),
        ("adding", {"length_steps": 1}, "length_steps must be at least 2"),
        ("mnist", {"by": "pixels"}, "Did you mean 'pixel'"),
        ("mnist", {"permuted": True}, "needs by='pixel'"),
        ("mnist", {"validation_examples": 60_000}, "validation_examples must be"),
    ],
)
def test_bad_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task(name, Path("nowhere"), **options)


def test_a_mean_pools_terms_and_not_examples() -> None:
    score = Score(jnp.array([1.0, 9.0]), jnp.array([1.0, 3.0]))
    assert float(score.mean()) == 2.5
