"""Streaming XOR: answers bit by bit, the best predictors with memory and without."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks.streaming_xor import answers
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of
from tests.helpers.task_batches import mean_scores

CASES = [(3, 1), (3, 2), (1, 3), (10, 2)]


@pytest.mark.parametrize(("delay", "bits"), CASES)
def test_an_answer_is_the_parity_of_delayed_bits(delay: int, bits: int) -> None:
    task = build_task("streaming_xor", delay_steps=delay, bits=bits, length_steps=50)
    batch = batch_of(task, 20)
    x = np.asarray(batch.inputs_TxBxI)[..., 0].astype(int)
    assert set(x.ravel()) == {0, 1}
    for t in range(delay * bits, 50):
        ones = sum(x[t - delay * n] for n in range(1, bits + 1))
        np.testing.assert_array_equal(batch.targets[t], ones % 2)


@pytest.mark.parametrize(("delay", "bits"), CASES)
def test_memory_of_all_bits_is_enough_for_every_scored_answer(delay: int, bits: int) -> None:
    """The first answers, of bits that never came, do not count."""
    task = build_task("streaming_xor", delay_steps=delay, bits=bits, length_steps=50)
    batch = batch_of(task, 20)
    right = jnp.arange(50)[:, None] >= delay * bits
    wrong_at_first = jnp.where(right, batch.targets, 1 - batch.targets)
    logits = 200.0 * jax.nn.one_hot(wrong_at_first, 2, dtype=float)
    assert mean_scores(task, logits, batch) == pytest.approx({"loss": 0.0, "accuracy": 1.0})
    worst = mean_scores(task, 200.0 - logits, batch)
    assert worst == pytest.approx({"loss": 200.0, "accuracy": 0.0})


@pytest.mark.parametrize(("delay", "bits"), [(1, 1), (2, 2), (3, 2), (1, 4)])
def test_without_memory_chance_is_the_best(delay: int, bits: int) -> None:
    """Of all sequences there are as many with each answer, whatever the bits after the delay."""
    steps = delay * bits + 1
    all_TxN = np.array([*itertools.product([0, 1], repeat=steps)]).T
    y_N = np.asarray(answers(jnp.asarray(all_TxN, jnp.int32), delay, bits))[-1]
    for last in itertools.product([0, 1], repeat=delay):
        same_N = np.all(np.array(last) == all_TxN[steps - delay :].T, axis=1)
        assert same_N.any()
        assert y_N[same_N].mean() == 0.5
    task = build_task("streaming_xor", delay_steps=delay, bits=bits, length_steps=steps)
    batch = Batch(jnp.asarray(all_TxN, float)[..., None], jnp.zeros(1))
    batch = batch._replace(targets=answers(jnp.asarray(all_TxN, jnp.int32), delay, bits))
    found = mean_scores(task, jnp.broadcast_to(jnp.array([0.1, 0.0]), (*all_TxN.shape, 2)), batch)
    assert found["accuracy"] == task.baseline["accuracy"] == 0.5
    even = mean_scores(task, jnp.zeros((*all_TxN.shape, 2)), batch)
    np.testing.assert_allclose(even["loss"], math.log(2), rtol=1e-6)
    assert task.baseline["loss"] == math.log(2)
    assert found["loss"] > even["loss"]


def test_a_delay_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match=r"above 30 \(bits x delay_steps\), not 30"):
        build_task("streaming_xor", delay_steps=15, length_steps=30)
