"""Every task keeps the contract: sizes, scores, batches that key and step decide."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.registry import STEPWISE
from rnnexp.core.types import Array, Batch
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Bucketed, Score, Stream
from rnnexp.tasks.batches import (
    bucket_batch,
    epoch_order,
    source_arrays,
    source_size,
    training_batch,
)
from rnnexp.train.build import build_task
from tests.helpers.task_batches import KEY, B, batch_of, mean_scores, task_named


@pytest.mark.parametrize("name", TASKS.builtin)
def test_the_contract(name: str) -> None:
    task = task_named(name)
    assert task.mode in TASKS.entry(name).modes
    assert task.name == name
    for split in ("train", "valid", "test"):
        batch = batch_of(task, split)
        longest = batch.inputs_TxBxI.shape[0]
        if not isinstance(getattr(task, split), Bucketed):
            assert longest == task.num_steps
        assert longest <= task.num_steps
        if batch.inputs_TxBxI.ndim == 2:  # numbers of symbols
            assert batch.inputs_TxBxI.shape == (longest, B)
            assert batch.inputs_TxBxI.dtype == jnp.int32
            assert int(jnp.max(batch.inputs_TxBxI)) < task.input_size
        else:
            assert batch.inputs_TxBxI.shape == (longest, B, task.input_size)
            assert batch.inputs_TxBxI.dtype == jnp.float32
        steps = {"asynchronous": (task.target_steps,), **dict.fromkeys(STEPWISE, (longest,))}
        outputs = jnp.zeros((*steps.get(task.mode, ()), B, task.output_size))
        scores = jax.eval_shape(task.scores, outputs, batch)
        assert set(task.baseline) <= set(scores) | {"exact"} | set(task.derived)
        assert "loss" in scores
        assert task.headline in set(scores) | {"exact"} | set(task.derived)
        for score in scores.values():
            assert score.total_B.shape == score.count_B.shape == (B,)
        assert all(map(math.isfinite, mean_scores(task, outputs, batch).values()))


@pytest.mark.parametrize("name", TASKS.builtin)
def test_the_batch_of_a_step_is_a_function_of_key_and_step(name: str) -> None:
    task = task_named(name)
    arrays, source = source_arrays(task.train), task.train
    size = min(B, source_size(source) or B)

    @jax.jit
    def draw(key: Array, step: Array) -> Batch:
        order = epoch_order(source, key, step, size)
        if isinstance(source, Bucketed):
            return bucket_batch(source, 0, arrays, order, step, size)
        return training_batch(source, arrays, order, key, step, size)

    one, again = draw(KEY, jnp.array(1)), draw(KEY, jnp.array(1))
    for leaf, same in zip(jax.tree.leaves(one), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(leaf, same)
    if source_size(source) == 1:  # the one example is every batch
        return
    others = [draw(KEY, jnp.array(2))]
    if not isinstance(source, Stream):  # a text is always read from its beginning
        others.append(draw(jax.random.key(1), jnp.array(1)))
    for other in others:
        pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
        assert any(np.any(np.asarray(leaf) != np.asarray(of_other)) for leaf, of_other in pairs)


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
