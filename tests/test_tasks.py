"""Every task: contract, closed-form baselines, and batches as they are described."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.errors import UsageError
from rnnexp.registry import build_task
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import (
    Finite,
    Score,
    Task,
    epoch_order,
    evaluation_batch,
    source_arrays,
    training_batch,
)
from rnnexp.tasks.copy_memory import BLANK, MARKER
from rnnexp.types import Array, Batch
from tests.data_dir import mnist_or_skip

B = 6
KEY = jax.random.key(0)


def task_named(name: str, **options: object) -> Task:
    """A task with its data, or a skip that says which file is missing."""
    return build_task(name, mnist_or_skip() if name == "mnist" else None, **options)


def batch_of(task: Task, split: str = "train", size: int = B) -> Batch:
    """A first batch."""
    source = getattr(task, split)
    return evaluation_batch(source, source_arrays(source), KEY, jnp.array(0), size, size)[0]


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
        assert batch.inputs_TxBxI.shape == (task.num_steps, B, task.input_size)
        assert batch.inputs_TxBxI.dtype == jnp.float32
        shape = (B, task.output_size)
        outputs = jnp.zeros((task.num_steps, *shape) if task.mode == "synchronous" else shape)
        scores = task.scores(outputs, batch)
        assert set(task.baseline) <= set(scores)
        assert {"loss", task.headline} <= set(scores)
        for score in scores.values():
            assert score.total_B.shape == score.count_B.shape == (B,)
            assert math.isfinite(float(score.mean()))


@pytest.mark.parametrize("name", TASKS.builtin)
def test_the_batch_of_a_step_is_a_function_of_key_and_step(name: str) -> None:
    task = task_named(name)
    arrays = source_arrays(task.train)

    @jax.jit
    def draw(key: Array, step: Array) -> Batch:
        order = epoch_order(task.train, key, step, B)
        return training_batch(task.train, arrays, order, key, step, B)

    one, again = draw(KEY, jnp.array(5)), draw(KEY, jnp.array(5))
    np.testing.assert_array_equal(one.inputs_TxBxI, again.inputs_TxBxI)
    for other in (draw(KEY, jnp.array(6)), draw(jax.random.key(1), jnp.array(5))):
        assert bool(jnp.any(one.inputs_TxBxI != other.inputs_TxBxI))


def test_an_epoch_visits_every_example_once_in_a_new_order() -> None:
    task = build_task("digits")
    assert isinstance(task.train, Finite)
    size = task.train.size
    orders = [epoch_order(task.train, KEY, jnp.array(step), 100) for step in (0, 11, 12)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(size))
    np.testing.assert_array_equal(orders[0], orders[1])  # 12 steps of 100 are an epoch of 1,257
    assert bool(jnp.any(orders[0] != orders[2]))


def test_an_evaluation_counts_every_example_once() -> None:
    task = build_task("digits")
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
    data_dir = mnist_or_skip()
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
